"""`chainlit run chainlit_app.py`: does what some of `tests/support/workflows/` do."""

import asyncio

import chainlit as cl

from tests.support import long_answer
from tests.support.calls import parse

ACTIONS = [
    cl.Action(name=value, label=value, payload={"value": value}) for value in ("continue", "cancel")
]


@cl.on_message
async def main(message: cl.Message) -> None:
    """Do what the message calls."""
    name, arguments, options = parse(message.content)
    await FUNCTIONS[name](*arguments, **options)


async def echo(text: str) -> None:
    """Answer once."""
    await cl.Message(content=text).send()


async def report(characters: int, tokens: int, delay: float) -> None:
    """Send a long answer: its beginning at once, and the rest in tokens."""
    text = long_answer.report(characters + tokens * 4)
    answer = cl.Message(content="")
    await answer.stream_token(text[:characters])
    for token in long_answer.tokens(text[characters:]):
        await asyncio.sleep(delay)
        await answer.stream_token(token)
    await answer.update()


async def approve(count: int) -> None:
    """Ask a question with two buttons."""
    value = await ask("prompt-1")
    await cl.Message(content=f"said {value}").send()


async def ask_two() -> None:
    """Ask two questions at once, each answered by a text."""
    questions = (cl.AskUserMessage(content=text, timeout=600).send() for text in ("one?", "two?"))
    texts = [answer and answer["output"] for answer in await asyncio.gather(*questions)]
    await cl.Message(content="|".join(map(str, texts))).send()


async def fail() -> None:
    """Raise an error whose text nobody must see."""
    raise ValueError("internal secret")


async def ask(text: str) -> str:
    """Return the value of the button that was pressed."""
    answer = await cl.AskActionMessage(content=text, actions=ACTIONS, timeout=600).send()
    return str(answer and answer["payload"]["value"])


FUNCTIONS = {
    "echo": echo,
    "report": report,
    "approve": approve,
    "ask_two": ask_two,
    "fail": fail,
}
