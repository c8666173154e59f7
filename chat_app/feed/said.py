"""What was said in a run, at its places: for a file, and for people whom it is shared with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.models import Event, Feedback, Interaction, Run
from sessions_app.storage.attachments import shown
from sessions_app.storage.event_log import read_records
from sessions_app.storage.run_text import split, taken_back, undo
from sessions_app.workflows.history import ended_runs

Said = dict[str, Any]

SHARED = 20  # runs of a conversation, the newest


def read_shared(prompt: Interaction) -> list[Said]:
    """The runs of its conversation, as its workflow shares them with the people it asks: oldest
    first, to the prompt, while that waits. Blocks.
    """
    shares = (prompt.assignment or {}).get("share", False)
    if not shares or prompt.status != Interaction.Status.PENDING:
        return []
    run = prompt.run.parent_id or prompt.run_id
    earlier = ended_runs(run, prompt.conversation_id, SHARED)
    found = [read_run(UUID(one)) for one in reversed(earlier)] + [read_run(run)]
    for one in found:
        one["said"] = [said for said in one["said"] if said.get("interaction_id") != str(prompt.pk)]
    return found


def in_words(said: Said) -> str:
    """As Markdown."""
    if said["type"] == "text":
        return str(said["text"])
    if said["type"] == "step":
        return f"- {said['name']} ({said['state']})"
    response = said["response"] or {}
    values = response.get("values", [response["value"]] if "value" in response else [])
    at = said["answered_at"]
    at = f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M %Z}" if at else ""
    by = f" ({said['answered_by']}, {at})" if said["answered_by"] else ""
    answer = ", ".join(str(value) for value in values)
    return f"**{said['question']}**\n\n{said['status']}{': ' if answer else ''}{answer}{by}"


def read_run(run_id: UUID) -> Said:
    """The run's message, and what was `said` then. Blocks: call it in a thread."""
    run = Run.objects.get(pk=run_id)
    return {
        "run": str(run.pk),
        "replaces": str(run.forked_from_id) if run.forked_from_id else None,
        "follows": str(run.follows_id) if run.follows_id else None,
        "message_id": run.message_id,
        "message": run.text,
        "files": [shown(file) for file in run.metadata.get("files", ())],
        "status": run.status,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "feedback": Feedback.objects.filter(run=run).values("reaction", "comment").first(),
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
            _add_text(said, [piece.text for piece in pieces])
        elif row.type == Event.Type.STEP:
            key = row.payload["step_id"]
            if key not in steps:
                said.append(steps.setdefault(key, {"type": "step"}))
            steps[key] |= {name: row.payload[name] for name in ("name", "state", "payload")}
        elif row.type in (Event.Type.INTERACTION, Event.Type.ASSIGNMENT):
            said.append(questions[row.payload["interaction_id"]])
    for one in said:
        if one["type"] == "text":
            one["text"] = "".join(one["text"])
    return said


def _add_text(said: list[Said], texts: list[str]) -> None:
    if said and said[-1]["type"] == "text":
        said[-1]["text"] += texts
    elif any(texts):
        said.append({"type": "text", "text": texts})


def _question(asked: Interaction) -> Said:
    by = asked.answered_by
    return {
        "type": "question",
        "interaction_id": str(asked.pk),
        "question": asked.prompt["text"],
        "prompt": asked.prompt,
        "status": asked.status,
        "response": asked.response,
        "answered_by": by.get_username() if by else None,
        "answered_at": asked.answered_at.isoformat() if asked.answered_at else None,
    }
