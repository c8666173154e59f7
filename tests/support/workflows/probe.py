"""The workflow with which tests and benchmarks drive a server, not meant for people."""

from collections.abc import AsyncGenerator

from sessions_app.workflows import Context, Message, workflow
from tests.support.calls import FORM, is_call
from tests.support.workflows import (  # noqa: F401 - their functions register themselves
    asking,
    assigning,
    blocking,
    failing,
    lines,
    steps,
    streaming,
    waiting,
)
from tests.support.workflows.registry import call


@workflow(
    name="probe",
    title="Probe",
    description="For tests and benchmarks: the message is a call, such as stream(tokens=3).",
    starters=('echo("hello")', "ask()"),
    takes_files=True,
)
async def probe(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Call the function that the message names; describe the files of a message without text.

    Hostile tests send any text, which is answered with a sentence. A wrong call fails the run;
    otherwise a test with a mistyped message would pass.
    """
    text = message.text or "describe_files()"
    if not is_call(text):
        yield FORM
        return
    async for chunk in call(context, text):
        yield chunk
