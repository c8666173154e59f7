"""The tools of the assistant. A person must first allow those that cannot be undone."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from pydantic import BaseModel, Field, ValidationError

from natproject.workflows.calculator import evaluate, plain
from sessions_app.json_types import JsonObject

MAX_OPERATIONS = 100
MAX_NOTES = 100


class Calculation(BaseModel):
    """The arguments of `calculate`."""

    expression: str = Field(description="arithmetic, such as 17.5 * (12 + 3)")


class Name(BaseModel):
    """The arguments of tools that take a note's name."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$", description="small letters, digits and -")


class Note(Name):
    """The arguments of `write_note`."""

    text: str = Field(max_length=10_000)


class Nothing(BaseModel):
    """An empty set of arguments."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the notes' folder and its arguments. `asks`: a person allows each use."""

    function: Callable[[Path, Any], str]
    arguments: type[BaseModel]
    description: str
    asks: bool = False

    @property
    def schema(self) -> JsonObject:
        """The description of the tool for a model."""
        return {
            "type": "function",
            "function": {
                "name": self.function.__name__,
                "description": self.description,
                "parameters": self.arguments.model_json_schema(),
            },
        }


def calculate(_notes: Path, arguments: Calculation) -> str:
    """Return the value of the expression."""
    attempt = evaluate(arguments.expression, MAX_OPERATIONS)
    if attempt.result is None:
        return attempt.problem or "That takes too many operations."
    return plain(attempt.result)


def list_notes(notes: Path, _arguments: Nothing) -> str:
    """Return the names of the notes, a line each."""
    names = sorted(path.stem for path in notes.glob("*.txt"))
    return "\n".join(names) or "There are no notes."


def read_note(notes: Path, arguments: Name) -> str:
    """Return the text of a note."""
    path = notes / f"{arguments.name}.txt"
    return path.read_text() if path.exists() else f"There is no note {arguments.name!r}."


def write_note(notes: Path, arguments: Note) -> str:
    """Keep a note; once more does no harm."""
    if len(list(notes.glob("*.txt"))) >= MAX_NOTES:
        return f"There are {MAX_NOTES} notes already. Delete one first."
    notes.mkdir(mode=0o700, parents=True, exist_ok=True)
    (notes / f"{arguments.name}.txt").write_text(arguments.text)
    return f"The note {arguments.name!r} is kept."


def delete_note(notes: Path, arguments: Name) -> str:
    """Delete a note; one that is gone stays so."""
    (notes / f"{arguments.name}.txt").unlink(missing_ok=True)
    return f"The note {arguments.name!r} is deleted."


TOOLS = {
    tool.function.__name__: tool
    for tool in (
        Tool(calculate, Calculation, "Calculates, exactly."),
        Tool(list_notes, Nothing, "Lists the names of the person's notes."),
        Tool(read_note, Name, "Reads one of the person's notes."),
        Tool(write_note, Note, "Writes a note, or another text into it.", asks=True),
        Tool(delete_note, Name, "Deletes a note for good.", asks=True),
    )
}
SCHEMAS: Any = [tool.schema for tool in TOOLS.values()]


def problem(name: str, arguments: str) -> str:
    """Say what is wrong with a call, for the model; "" if it can be made."""
    if name not in TOOLS:
        return f"There is no tool {name!r}. There are: {', '.join(TOOLS)}."
    try:
        TOOLS[name].arguments.model_validate_json(arguments or "{}")
    except ValidationError as error:
        return f"The arguments do not fit: {error.errors(include_url=False, include_input=False)}"
    return ""


def use(name: str, arguments: str, user_id: str) -> str:
    """Run a tool call that was checked, with the person's own notes."""
    tool = TOOLS[name]
    folder = settings.DATA_DIR / "notes" / re.sub(r"\W", "-", user_id)
    return tool.function(folder, tool.arguments.model_validate_json(arguments or "{}"))
