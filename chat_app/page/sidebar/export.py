"""A conversation as a file: all that was said in it, as Markdown to read or as JSON to work with.

Written run by run, so that no more than one run's texts are in memory.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from chat_app.feed.said import Said, in_words, read_run
from chat_app.feed.selectors import find_conversation
from sessions_app.errors import NotFound
from sessions_app.models import Conversation, Run
from sessions_app.models.people import UserId
from sessions_app.storage import reads


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
    runs = Run.objects.filter(conversation=key).order_by("sequence")
    return Exported(about, list(runs.values_list("pk", flat=True)))


async def as_json(exported: Exported) -> AsyncIterator[str]:
    """An object with the list `runs`, each with its message and what was `said`."""
    head = json.dumps(exported.about, ensure_ascii=False, indent=2)
    yield head[: -len("\n}")] + ',\n  "runs": ['
    for number, run in enumerate(exported.runs):
        said = json.dumps(await reads.read(read_run, run), ensure_ascii=False)
        yield (",\n    " if number else "\n    ") + said
    yield "\n  ]\n}\n"


async def as_markdown(exported: Exported) -> AsyncIterator[str]:
    """Each message as a heading with what was said after it; questions as quotations."""
    about = exported.about
    yield f"# {about['title'] or about['conversation_id']}\n\n"
    yield f"{about['workflow']}, {about['created_at']}\n"
    headings: dict[str, str] = {}
    for run in exported.runs:
        read = await reads.read(read_run, run)
        headings[read["run"]] = read["created_at"]
        quoted = "\n".join(f"> {line}" for line in read["message"].splitlines())
        yield f"\n## {read['created_at']}\n\n{quoted}\n"
        for file in read["files"]:
            yield f"\n- {file['name']} ({file['size']} bytes)\n"
        if earlier := headings.get(read["replaces"] or read["follows"]):
            how = "Another version of" if read["replaces"] else "Goes on with"
            yield f"\n*{how} the message of {earlier}*\n"
        for said in read["said"]:
            yield f"\n{in_words(said)}\n"
        if read["status"] != Run.Status.COMPLETED:
            yield f"\n*{read['status']}*\n"
        if feedback := read["feedback"]:
            yield f"\n{' '.join(text for text in feedback.values() if text)}\n"
