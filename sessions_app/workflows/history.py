"""The earlier messages of a conversation, for workflows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal
from uuid import UUID

from sessions_app.models import AttachedFile, Run, attached_files
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import branches
from sessions_app.storage.run_text import text_of
from sessions_app.workflows.past_calls import PastCall, read_calls


@dataclass(frozen=True, slots=True)
class PastMessage:
    """An earlier message: of a person, with `files`, or a run's whole output; `run` is its id.

    `calls` are those of the run, if they were asked for; the text may then be empty.
    """

    role: Literal["user", "assistant"]
    text: str
    run: str
    files: tuple[AttachedFile, ...] = ()
    calls: tuple[PastCall, ...] = ()


def ended_runs(run: UUID, conversation: UUID, limit: int) -> list[str]:
    """Return the ids of earlier finished runs of this branch, latest first. Reads the database.

    The journal keeps these ids, and the log's sequence number at the time of reading, so that a
    replay reads the same text even if a failed run was resumed meanwhile.
    """
    root = Run.objects.get(pk=run)
    if root.parent_id is not None:
        root = Run.objects.get(pk=branches.ancestors(run)[-1])
    order = branches.read(conversation)
    branch = set(order.up_to(root.id)) if order else None
    runs = Run.objects.filter(conversation_id=conversation, parent=None, status__in=Run.FINISHED)
    earlier = runs.filter(sequence__lt=root.sequence).order_by("-sequence")
    ids = earlier.values_list("id", flat=True)
    if branch is not None:
        ids_on = (id_ for id_ in ids.iterator() if id_ in branch)
        return [str(id_) for id_ in islice(ids_on, limit)]
    return [str(id_) for id_ in ids[:limit]]


def read_messages(
    runs: Sequence[str], limit: int, until: int | None = None, *, calls: bool = False
) -> list[PastMessage]:
    """Return the last messages of these runs, oldest first. Reads the database.

    `runs` is sorted from the latest run to the oldest; `until` is the last sequence number of the
    log to read. The messages have at most MAX_STEP_RESULT characters in total, with the results of
    their `calls`.
    """
    messages: list[PastMessage] = []
    budget = RuntimeSettings.load().MAX_STEP_RESULT
    calls_of = read_calls([UUID(run) for run in runs], until) if calls else {}
    for message in _backwards(runs, until, calls_of):
        budget -= len(message.text) + sum(len(str(one.result)) for one in message.calls)
        if budget < 0 or len(messages) == limit:
            break
        messages.append(message)
    return messages[::-1]


def _backwards(
    runs: Sequence[str], until: int | None, calls_of: Mapping[str, Sequence[PastCall]]
) -> Iterator[PastMessage]:
    rows = Run.objects.filter(pk__in=runs).values_list("id", "text", "metadata__files")
    messages = {
        str(key): (text, attached_files({"files": files or ()})) for key, text, files in rows
    }
    for run in runs:
        text, calls = text_of(UUID(run), until), tuple(calls_of.get(run, ()))
        if text or calls:
            yield PastMessage("assistant", text, run, calls=calls)
        question, files = messages[run]
        yield PastMessage("user", question, run, files)
