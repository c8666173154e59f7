"""The export of a conversation: Markdown for reading, JSON for programs.

The file is written run by run, so that memory holds the texts of one run only.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from chat_app.run_transcript import TranscriptPart, in_words, read_run
from sessions_app.errors import NotFound
from sessions_app.models import Conversation, Run
from sessions_app.models.people import UserId


@dataclass(frozen=True, slots=True)
class ConversationExport:
    """The contents of an export: the conversation, and its runs in the order of their messages."""

    about: TranscriptPart
    runs: list[UUID]


def find(owner: UserId, conversation_id: str) -> ConversationExport:
    """Find the owner's conversation of that id. Blocks: call it in a thread.

    Raises:
        NotFound: the owner has no such conversation.
    """
    conversation = Conversation.objects.of(owner, conversation_id).first()
    if conversation is None:
        raise NotFound("There is no such conversation.")
    about = {
        "conversation_id": conversation.conversation_id,
        "title": conversation.title,
        "workflow": conversation.workflow,
        "created_at": conversation.created_at.isoformat(),
    }
    runs = Run.objects.filter(conversation=conversation).order_by("sequence")
    return ConversationExport(about, list(runs.values_list("pk", flat=True)))


def as_json(export: ConversationExport) -> Iterator[str]:
    """Yield a JSON object whose list `runs` has each message and what was `said`. Blocks."""
    head = json.dumps(export.about, ensure_ascii=False, indent=2)
    yield head[: -len("\n}")] + ',\n  "runs": ['
    for number, run in enumerate(export.runs):
        # Keep a run's texts in no variable, so that the memory is free while the client reads.
        yield (",\n    " if number else "\n    ") + json.dumps(read_run(run), ensure_ascii=False)
    yield "\n  ]\n}\n"


def as_markdown(export: ConversationExport) -> Iterator[str]:
    """Yield Markdown: messages as headings, questions as quotations, replies below. Blocks."""
    about = export.about
    yield f"# {about['title'] or about['conversation_id']}\n\n"
    yield f"{about['workflow']}, {about['created_at']}\n"
    headings: dict[str, str] = {}
    for run in export.runs:
        yield "".join(_run_as_markdown(read_run(run), headings))


def _run_as_markdown(run: TranscriptPart, headings: dict[str, str]) -> Iterator[str]:
    headings[run["run"]] = run["created_at"]
    quotation = "\n".join(f"> {line}" for line in run["message"].splitlines())
    yield f"\n## {run['created_at']}\n\n{quotation}\n"
    for file in run["files"]:
        yield f"\n- {file['name']} ({file['size']} bytes)\n"
    if earlier := headings.get(run["replaces"] or run["follows"]):
        relation = "Another version of" if run["replaces"] else "Goes on with"
        yield f"\n*{relation} the message of {earlier}*\n"
    for part in run["said"]:
        yield f"\n{in_words(part)}\n"
    if run["status"] != Run.Status.COMPLETED:
        yield f"\n*{run['status']}*\n"
    if feedback := run["feedback"]:
        yield f"\n{' '.join(text for text in feedback.values() if text)}\n"
