"""The facts beside the leases of a page of hosts: whose they are, and their runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q
from django.utils.translation import gettext

from sessions_app.contrib.operations.admin.people_texts import display_name, display_names
from sessions_app.models import Conversation, HostLease, Run


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The user of a host, its conversation, and counts of its runs.

    The host of a user's builder is for all of the user's conversations: it has none.
    """

    who: str
    conversation: Conversation | None
    ended: int = 0
    failed: int = 0
    running: int = 0


def read_facts(leases: Sequence[HostLease]) -> list[SessionFacts]:
    """Read the facts of hosts, in three queries however many they are."""
    names = display_names(lease.user_id for lease in leases if lease.user_id)
    conversations = _conversations(leases)
    counts = _count_runs(lease.key for lease in leases)
    facts = []
    for lease in leases:
        conversation = conversations.get(_subject(lease))
        owner = display_name(conversation.owner) if conversation else names.get(lease.user_id)
        who = owner or gettext("deleted")
        facts.append(SessionFacts(who, conversation, *counts.get(lease.key, ())))
    return facts


def _subject(lease: HostLease) -> str:
    """Return whose key it is: the user's part of the name, or the conversation's id."""
    return lease.user_id or lease.key.split(":", 2)[1]


def _conversations(leases: Iterable[HostLease]) -> dict[str, Conversation]:
    """Return the conversations behind the keys of shared workflows, with their owners."""
    ids = []
    for lease in leases:
        try:
            ids.append(UUID(_subject(lease)))
        except ValueError:
            continue
    rows = Conversation.objects.filter(pk__in=ids).select_related("owner")
    return {str(row.pk): row for row in rows}


def _count_runs(keys: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    counts = Run.objects.filter(key__in=list(keys)).order_by().values_list("key")
    rows = counts.annotate(
        ended=Count("pk", filter=Q(status__in=Run.FINISHED)),
        failed=Count("pk", filter=Q(status=Run.Status.FAILED)),
        running=Count("pk", filter=Q(status=Run.Status.RUNNING)),
    )
    return {key: (ended, failed, running) for key, ended, failed, running in rows}
