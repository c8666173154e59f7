"""A workflow that asks a question, and a workflow without questions."""

from collections.abc import AsyncGenerator

from sessions_app.workflows import Context, Message, TextPrompt, workflow


@workflow(name="greeting", title="Greeting")
async def greeting(message: Message, context: Context) -> AsyncGenerator[str, None]:
    answer = await context.ask(TextPrompt(text="What is your name?"))
    yield f"Hello, {answer.value}!"


@workflow(name="echo", title="Echo")
async def echo(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield message.text
