"""The list of a person's conversations."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils.translation import gettext

from chat_app.feed.selectors import pending_interactions
from sessions_app.models import Conversation, Run
from sessions_app.models.people import UserId

PAGE = 30
MOST = 600


@dataclass(frozen=True, slots=True)
class Entry:
    """One conversation in the list; `state` is empty where there is nothing to say."""

    conversation_id: str
    title: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Sidebar:
    """`more` is the number of entries to ask for next, 0 where there are no more.

    `waiting` counts the prompts that wait for this person, in all of the conversations.
    """

    entries: list[Entry]
    more: int
    query: str
    waiting: int


def sidebar(owner: UserId, *, query: str = "", limit: int = PAGE) -> Sidebar:
    """Those that need the person first, then the newest. Blocks: call it in a thread."""
    limit = min(max(limit, PAGE), MOST)
    runs = Run.objects.filter(conversation=OuterRef("pk"))
    mine = Conversation.objects.filter(owner_id=owner)
    if query:
        mine = mine.filter(Q(title__icontains=query) | Q(workflow__iexact=query))
    found = (
        mine.annotate(
            needs_you=Exists(pending_interactions(conversation=OuterRef("pk"))),
            working=Exists(runs.filter(status__in=(Run.Status.QUEUED, Run.Status.RUNNING))),
            last_status=Subquery(runs.order_by("-created_at").values("status")[:1]),
        )
        .order_by("-needs_you", "-updated_at")
        .values_list("conversation_id", "title", "needs_you", "working", "last_status")
    )[: limit + 1]
    entries = [
        Entry(name, title or name, *_state(needs_you, working, last_status))
        for name, title, needs_you, working, last_status in found
    ]
    waiting = pending_interactions(conversation__owner_id=owner).count()
    more = limit + PAGE if len(entries) > limit and limit < MOST else 0
    return Sidebar(entries[:limit], more, query, waiting)


def newest(owner: UserId) -> str | None:
    """The conversation that changed last; None where there is none yet."""
    return (
        Conversation.objects.filter(owner_id=owner)
        .order_by("-updated_at")
        .values_list("conversation_id", flat=True)
        .first()
    )


def _state(needs_you: bool, working: bool, last_status: str | None) -> tuple[str, str]:
    if needs_you:
        return "needs-you", gettext("needs you")
    if working:
        return "working", gettext("working")
    if last_status == Run.Status.FAILED:
        return "failed", gettext("failed")
    if last_status == Run.Status.SUSPENDED:
        return "failed", gettext("suspended")
    return "", ""
