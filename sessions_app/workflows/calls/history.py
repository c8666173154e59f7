"""What was said in a conversation before, as a workflow gets it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sessions_app.models import Event, Run
from sessions_app.settings import RuntimeSettings


@dataclass(frozen=True, slots=True)
class PastMessage:
    """What somebody said: a person's message, or all the text of a run. `run` is the run's id."""

    role: Literal["user", "assistant"]
    text: str
    run: str


def ended_runs(run: UUID, conversation: UUID, limit: int) -> list[str]:
    """The last runs of the conversation that are over, the latest first. Reads.

    What is said of them no longer changes, so a journal needs no more of them.
    """
    ended = Run.objects.filter(conversation_id=conversation, parent=None, status__in=Run.FINISHED)
    latest = ended.exclude(pk=run).order_by("-created_at", "-id")
    return [str(one) for one in latest.values_list("id", flat=True)[:limit]]


def said_in(runs: Sequence[str], limit: int) -> list[PastMessage]:
    """The last messages of these runs, of which the latest is first; in their order. Reads.

    As many as have MAX_STEP_RESULT characters together.
    """
    found: list[PastMessage] = []
    left = RuntimeSettings.load().MAX_STEP_RESULT
    for message in _backwards(runs):
        left -= len(message.text)
        if left < 0 or len(found) == limit:
            break
        found.append(message)
    return found[::-1]


def _backwards(runs: Sequence[str]) -> Iterator[PastMessage]:
    asked = {
        str(key): text for key, text in Run.objects.filter(pk__in=runs).values_list("id", "text")
    }
    for run in runs:
        parts = Event.objects.filter(run_id=run, type=Event.Type.MESSAGE).order_by("sequence")
        text = "".join(payload["text"] for payload in parts.values_list("payload", flat=True))
        if text:
            yield PastMessage("assistant", text, run)
        yield PastMessage("user", asked[run], run)
