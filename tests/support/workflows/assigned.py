"""The part of `probe` that asks others."""

from collections.abc import AsyncGenerator
from typing import Any

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

OPTIONS = [Option(value="yes", label="Approve"), Option(value="no", label="Reject")]


async def assign(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask one prompt of the groups, and users behind @, that the first word names."""
    names, *words = arguments
    to = [user(name[1:]) if name.startswith("@") else group(name) for name in names.split(",")]
    options = dict(word.partition("=")[::2] for word in words)
    rules: dict[str, Any] = {"four_eyes": "four" in options, "votes": int(options.get("votes", 1))}
    if "share" in options:
        rules["share"] = True
        yield "I ask **them**.\n\n"
    if due := options.get("due"):
        rules["due"] = float(due)
    if later := options.get("escalate"):
        rules["escalate"] = Escalation(after=60, to=group(later))
    details: dict[str, Any] = {"From": "Monday", "Until": "Wednesday"}
    days = options.get("days", "3")
    if "receipt" in options:
        form = await context.ask(RECEIPT, to=to, **rules)
        answer = f"{form.by}: {(await form.value['receipt'].read()).decode()}"
    elif "text" in options:
        text = TextPrompt(text=f"Why give them {days} days off?")
        answer = (await context.ask(text, to=to, **rules)).value
    else:
        choice = BinaryPrompt(text=f"Give ann {days} days off?", options=OPTIONS, details=details)
        answer = (await context.ask(choice, to=to, **rules)).value
    yield f"{answer}."
