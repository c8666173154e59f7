"""A small script that replaces the model if none is configured, with rules for the tools only.

The output is streamed like a model's, so that all features of the assistant work without a model.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import takewhile

from natproject.workflows.calculator import find_expression
from sessions_app.contrib.agents.language_model import ModelMessage, Piece, ToolCall
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Reasoning

PAUSE = 0.02  # seconds between two words
HELP = (
    "I am a small script, in the place of a language model: set `OPENAI_MODEL` for one. "
    "I can calculate (`17.5 * 12`), keep a note (`Note: buy milk`), list your notes, and delete "
    "them, if you allow it."
)


class Script:
    """A model that reads a few words of the last message."""

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the answer, with the signature of `LanguageModel.stream`."""
        question = next(one["content"] for one in reversed(messages) if one["role"] == "user")
        last = takewhile(lambda one: one["role"] == "tool", reversed(messages))
        results = [one["content"] for one in last][::-1]
        for piece in _answer(question, messages, results) if results else _plan(question):
            if isinstance(piece, str):
                for word in re.findall(r"\s*\S+\s*?", piece):
                    yield word
                    await asyncio.sleep(PAUSE)
            else:
                yield piece


def _plan(question: str) -> Iterator[Piece]:
    """Choose the tool call for the person's message."""
    if note := re.match(r"(?:note|remember)\b[:\s]*(.+)", question, re.I | re.S):
        name = "-".join(re.findall(r"[a-z0-9]+", note[1].lower())[:4])[:40] or "note"
        yield Reasoning("The user wants something kept.")
        yield _call(0, "write_note", name=name, text=note[1])
    elif re.search(r"\bnotes\b", question, re.I):
        yield Reasoning("I have to see which notes there are.")
        yield _call(0, "list_notes")
    elif expression := find_expression(question):
        yield Reasoning(f"There is a calculation in it: {expression}")
        yield _call(0, "calculate", expression=expression)
    else:
        yield HELP


def _answer(question: str, messages: Sequence[ModelMessage], results: list[str]) -> Iterator[Piece]:
    """Report the results of the tools, or call further tools with the results."""
    called = messages[-len(results) - 1]["tool_calls"][0]["function"]["name"]
    names = results[0].split("\n")
    if called == "list_notes" and re.search(r"\bdelete\b", question, re.I) and " " not in names[0]:
        yield "These are your notes. I delete only those that you allow. "
        for number, name in enumerate(names):
            yield _call(number, "delete_note", name=name)
    elif called == "calculate":
        yield f"That is **{results[0]}**."
    else:
        yield " ".join(results)


def _call(number: int, tool: str, **arguments: object) -> ToolCall:
    return ToolCall(f"call-{number}", tool, json.dumps(arguments))
