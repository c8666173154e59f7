"""`chainlit run chainlit_app.py`: what `tests/support/workflows/` does, by the first word."""

import asyncio

import chainlit as cl

from tests.support import long_answer

ACTIONS = [
    cl.Action(name=value, label=value, payload={"value": value}) for value in ("continue", "cancel")
]


@cl.on_message
async def main(message: cl.Message) -> None:
    """Do what the first word says."""
    word, *arguments = message.content.split()
    await PARTS[word](arguments)


async def echo(arguments: list[str]) -> None:
    """Answer once."""
    await cl.Message(content=" ".join(arguments)).send()


async def report(arguments: list[str]) -> None:
    """Send a long answer: its beginning at once, and the rest in tokens."""
    length, number, milliseconds = map(int, arguments)
    text = long_answer.report(length + number * 4)
    answer = cl.Message(content="")
    await answer.stream_token(text[:length])
    for token in long_answer.tokens(text[length:]):
        await asyncio.sleep(milliseconds / 1000)
        await answer.stream_token(token)
    await answer.update()


async def approve(arguments: list[str]) -> None:
    """Ask a question with two buttons."""
    value = await ask("prompt-1")
    await cl.Message(content=f"said {value}").send()


async def two(arguments: list[str]) -> None:
    """Ask two questions at once, each answered by a text."""
    questions = (cl.AskUserMessage(content=text, timeout=600).send() for text in ("one?", "two?"))
    texts = [answer and answer["output"] for answer in await asyncio.gather(*questions)]
    await cl.Message(content="|".join(map(str, texts))).send()


async def fail(arguments: list[str]) -> None:
    """Raise an error whose text nobody must see."""
    raise ValueError("internal secret")


async def ask(text: str) -> str:
    """Return the value of the button that was pressed."""
    answer = await cl.AskActionMessage(content=text, actions=ACTIONS, timeout=600).send()
    return str(answer and answer["payload"]["value"])


PARTS = {"echo": echo, "report": report, "approve": approve, "two": two, "fail": fail}
