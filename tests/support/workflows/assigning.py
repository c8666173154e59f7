"""A function that asks other people than the user, called by a message."""

from typing import Any, Literal

from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Escalation,
    Option,
    TextPrompt,
    group,
    user,
)
from tests.support.workflows.forms import RECEIPT
from tests.support.workflows.registry import Chunks, by_message

OPTIONS = [Option(value="yes", label="Approve"), Option(value="no", label="Reject")]


@by_message
async def ask_others(  # noqa: PLR0913 - what a question to others can have
    context: Context,
    to: str,
    kind: Literal["choice", "text", "receipt"] = "choice",
    days: int | str = 3,
    share: bool = False,
    four_eyes: bool = False,
    votes: int = 1,
    due: float | None = None,
    escalate: str = "",
) -> Chunks:
    """Ask about days off; `to` lists groups, and users with an @, separated by commas."""
    names = to.split(",")
    rules: dict[str, Any] = {
        "to": [user(name[1:]) if name.startswith("@") else group(name) for name in names],
        "four_eyes": four_eyes,
        "votes": votes,
    }
    if share:
        rules["share"] = True
        yield "I ask **them**.\n\n"
    if due is not None:
        rules["due"] = due
    if escalate:
        rules["escalate"] = Escalation(after=60, to=group(escalate))
    if kind == "receipt":
        form = await context.ask(RECEIPT, **rules)
        yield f"{form.by}: {(await form.value['receipt'].read()).decode()}."
    elif kind == "text":
        text = TextPrompt(text=f"Why give them {days} days off?")
        yield f"{(await context.ask(text, **rules)).value}."
    else:
        details: dict[str, Any] = {"From": "Monday", "Until": "Wednesday"}
        choice = BinaryPrompt(text=f"Give ann {days} days off?", options=OPTIONS, details=details)
        yield f"{(await context.ask(choice, **rules)).value}."
