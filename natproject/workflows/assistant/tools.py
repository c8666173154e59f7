"""The tools of the assistant; tools that change notes need a person's approval."""

import re
from pathlib import Path
from typing import Annotated

from django.conf import settings
from pydantic import Field

from natproject.workflows.calculator import evaluate, plain
from sessions_app.contrib.agents.tools import Tool, ToolContext, tool

MAX_OPERATIONS = 100
MAX_NOTES = 100
DAY = 86400.0

Expression = Annotated[str, Field(description="arithmetic, such as 17.5 * (12 + 3)")]
Name = Annotated[
    str, Field(pattern=r"^[a-z0-9-]{1,40}$", description="small letters, digits and -")
]
Text = Annotated[str, Field(max_length=10_000)]


def calculate(expression: Expression) -> str:
    """Calculate, exactly."""
    attempt = evaluate(expression, MAX_OPERATIONS)
    if attempt.result is None:
        return attempt.problem or "That takes too many operations."
    return plain(attempt.result)


def list_notes(context: ToolContext) -> str:
    """List the names of the person's notes, a line each."""
    names = sorted(path.stem for path in _folder(context).glob("*.txt"))
    return "\n".join(names) or "There are no notes."


def read_note(name: Name, context: ToolContext) -> str:
    """Read one of the person's notes."""
    path = _folder(context) / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.exists() else f"There is no note {name!r}."


def write_note(name: Name, text: Text, context: ToolContext) -> str:
    """Write a note, or another text into it."""
    folder = _folder(context)
    if len(list(folder.glob("*.txt"))) >= MAX_NOTES:
        return f"There are {MAX_NOTES} notes already. Delete one first."
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return f"Saved “{name}”."


def delete_note(name: Name, context: ToolContext) -> str:
    """Delete a note for good."""
    (_folder(context) / f"{name}.txt").unlink(missing_ok=True)
    return f"The note {name!r} is deleted."


def _folder(context: ToolContext) -> Path:
    path: Path = settings.DATA_DIR / "notes" / re.sub(r"\W", "-", str(context.user.id))
    return path


# Writing or deleting a note twice has the same result, so both tools are repeatable after a crash.
TOOLS: list[Tool] = [
    tool(calculate),
    tool(list_notes),
    tool(read_note),
    tool(write_note).needs(approval=True, edit=True, timeout=DAY, repeatable=True),
    tool(delete_note).needs(approval=True, timeout=DAY, repeatable=True),
]
