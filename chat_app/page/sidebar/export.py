"""A conversation as a file: all that was said in it, as Markdown to read or as JSON to work with.

Written run by run, so that no more than one run's texts are in memory.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chat_app.feed.selectors import find_conversation
from sessions_app.errors import NotFound
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.event_log import read_records
from sessions_app.storage.run_text import split, taken_back, undo

Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """What is to be written: the conversation, and its runs in the order of their messages."""

    about: Said
    runs: list[UUID]


def find(owner: UserId, conversation_id: str) -> Exported:
    """The owner's conversation of that name. Blocks: call it in a thread.

    Raises:
        NotFound: there is none.
    """
    key = find_conversation(owner, conversation_id)
    if key is None:
        raise NotFound("There is no such conversation.")
    found = Conversation.objects.get(pk=key)
    about = {
        "conversation_id": found.conversation_id,
        "title": found.title,
        "workflow": found.workflow,
        "created_at": found.created_at.isoformat(),
    }
    runs = Run.objects.filter(conversation=key).order_by("created_at", "pk")
    return Exported(about, list(runs.values_list("pk", flat=True)))


async def as_json(exported: Exported) -> AsyncIterator[str]:
    """An object with the list `runs`, each with its message and what was `said`."""
    head = json.dumps(exported.about, ensure_ascii=False, indent=2)
    yield head[: -len("\n}")] + ',\n  "runs": ['
    for number, run in enumerate(exported.runs):
        said = json.dumps(await reads.read(_read, run), ensure_ascii=False)
        yield (",\n    " if number else "\n    ") + said
    yield "\n  ]\n}\n"


async def as_markdown(exported: Exported) -> AsyncIterator[str]:
    """Each message as a heading with what was said after it; questions as quotations."""
    about = exported.about
    yield f"# {about['title'] or about['conversation_id']}\n\n"
    yield f"{about['workflow']}, {about['created_at']}\n"
    for run in exported.runs:
        read = await reads.read(_read, run)
        quoted = "\n".join(f"> {line}" for line in read["message"].splitlines())
        yield f"\n## {read['created_at']}\n\n{quoted}\n"
        for said in read["said"]:
            yield f"\n{_in_words(said)}\n"
        if read["status"] != Run.Status.COMPLETED:
            yield f"\n*{read['status']}*\n"


def _in_words(said: Said) -> str:
    if said["type"] == "text":
        return str(said["text"])
    if said["type"] == "step":
        return f"- {said['name']} ({said['state']})"
    response = said["response"] or {}
    values = response.get("values", [response["value"]] if "value" in response else [])
    by = f" ({said['answered_by']}, {said['answered_at']})" if said["answered_by"] else ""
    answer = ", ".join(str(value) for value in values)
    return f"**{said['question']}**\n\n{said['status']}{': ' if answer else ''}{answer}{by}"


def _read(run_id: UUID) -> Said:
    run = Run.objects.get(pk=run_id)
    return {
        "message_id": run.message_id,
        "message": run.text,
        "status": run.status,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "feedback": run.feedback,
        "said": _said(run_id),
    }


def _said(run: UUID) -> list[Said]:
    """Texts, steps and questions, each at the place where it began."""
    rows = read_records(Event.objects.filter(run=run))
    cuts = [taken_back(row.sequence, row.payload) for row in rows if row.type == Event.Type.RESTART]
    asked = Interaction.objects.filter(run=run).select_related("answered_by")
    questions = {str(one.pk): _question(one) for one in asked}
    steps: dict[str, Said] = {}
    said: list[Said] = []
    for row in rows:
        if row.type in (Event.Type.TEXT, Event.Type.MESSAGE):
            pieces = undo(split(row.first_sequence, row.payload), cuts)
            _add_text(said, "".join(piece.text for piece in pieces))
        elif row.type == Event.Type.STEP:
            key = row.payload["step_id"]
            if key not in steps:
                said.append(steps.setdefault(key, {"type": "step"}))
            steps[key] |= {name: row.payload[name] for name in ("name", "state", "payload")}
        elif row.type == Event.Type.INTERACTION:
            said.append(questions[row.payload["interaction_id"]])
    return said


def _add_text(said: list[Said], text: str) -> None:
    if said and said[-1]["type"] == "text":
        said[-1]["text"] += text
    elif text:
        said.append({"type": "text", "text": text})


def _question(asked: Interaction) -> Said:
    by = asked.answered_by
    return {
        "type": "question",
        "question": asked.prompt["text"],
        "prompt": asked.prompt,
        "status": asked.status,
        "response": asked.response,
        "answered_by": by.get_username() if by else None,
        "answered_at": asked.answered_at.isoformat() if asked.answered_at else None,
    }
