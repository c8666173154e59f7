"""The workflows whose runs wait in the databases of released versions.

Do not change a function: recorded runs would no longer match their journal. A later version adds
functions for new kinds of calls.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable

from pydantic import BaseModel

from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    FormPrompt,
    Message,
    TextPrompt,
    ToolCallPrompt,
    group,
    workflow,
)


class Order(BaseModel):
    """A form that a person edits and approves."""

    item: str
    pieces: int


def draw_number() -> int:
    return 7


async def ask_after_step(context: Context) -> str:
    number = await context.step(draw_number)
    answer = await context.ask(TextPrompt(text="Name?"))
    return f"{number} {answer.value}"


async def propose_form(context: Context) -> str:
    initial = {"item": "Bolt", "pieces": 200}
    prompt = FormPrompt(Order, text="Order?", initial=initial, proposal=True, reject="No")
    answer = await context.ask(prompt)
    return f"{answer.value.pieces} {answer.value.item}"


async def call_tool(context: Context) -> str:
    prompt = ToolCallPrompt(text="Pay?", tool="pay", arguments={"euro": 20})
    answer = await context.ask(prompt, to=group("approvers"))
    return f"{answer.value} {answer.arguments}"


async def vote(context: Context) -> str:
    prompt = BinaryPrompt(text="Agreed?", options=["yes", "no"])
    answer = await context.ask(prompt, to=group("approvers"), votes=2)
    return f"{answer.value} of two"


async def gather_prompts(context: Context) -> str:
    prompts = [context.ask(TextPrompt(text=f"{name}?")) for name in ("one", "two")]
    answers = await context.gather(*prompts)
    return "|".join(answer.value for answer in answers)


async def run_child(context: Context) -> str:
    return f"child: {await context.run('released_child', 'ask')}"


async def sleep_a_minute(context: Context) -> str:
    await context.sleep(60)
    return "awake"


async def wait_for_payment(context: Context) -> str:
    context.show(context.callback_url("paid"))
    return f"paid {await context.wait_for('paid')}"


FUNCTIONS: dict[str, Callable[[Context], Awaitable[str]]] = {
    function.__name__: function
    for function in (
        ask_after_step,
        propose_form,
        call_tool,
        vote,
        gather_prompts,
        run_child,
        sleep_a_minute,
        wait_for_payment,
    )
}


@workflow(name="released", title="Released")
async def released(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Call the function that the message names, after a first text."""
    yield "begun "
    yield await FUNCTIONS[message.text](context)


@workflow(name="released_child", title="Child")
async def released_child(_: Message, context: Context) -> str:
    return (await context.ask(TextPrompt(text="Child?"))).value
