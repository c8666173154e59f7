"""The prompts and runs that need an operator: overdue questions, questions that nobody can answer,
and runs that are suspended or have failed. Each kind has a count, a short list, and a list filter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import pgettext

from sessions_app.contrib.operations.admin import cells, question_texts, run_texts
from sessions_app.interactions.answerers import lacking_votes, somebody_may_answer
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Interaction, Run
from sessions_app.questions.question_view import QuestionView

PENDING = Q(status=Interaction.Status.PENDING)
# Maximum rows of each kind in the short lists.
ROWS_SHOWN = 5
# Maximum number of pending questions, those with the earliest deadlines, for which answerers are
# sought: for 100,000 questions, the search would take a second.
LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class Tile:
    """A count of rows, with a link to the list of these rows."""

    title: str
    count: int
    url: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """A prompt or run that needs an operator: the reason, the people asked, and since when."""

    link: str
    workflow: str
    state: str
    detail: str = ""
    whom: str = ""
    since: datetime | None = None


def overdue() -> Q:
    """Return the condition on prompts that their due time has passed without an answer."""
    return PENDING & Q(due_at__lt=timezone.now())


def nobody_can_answer() -> Q:
    """Return the condition on pending prompts that too few people may answer at present.

    These are prompts that nobody may answer, or that need the votes of more people. Only the
    `LOOKED_AT` prompts with the earliest deadlines are tested.
    """
    first = Interaction.objects.filter(PENDING).order_by(*question_texts.BY_DEADLINE)
    tested = Q(pk__in=first.values("pk")[:LOOKED_AT])
    lacking = Q(pk__in=lacking_votes(Interaction.objects.filter(tested)))
    return tested & ~somebody_may_answer() | lacking


def read_questions(pending: int) -> tuple[list[Tile], list[Need]]:
    """Count overdue questions and those that nobody can answer, and list the first ones of each."""
    page = reverse("admin:sessions_app_interaction_changelist")
    late = Interaction.objects.filter(overdue())
    stuck = Interaction.objects.filter(nobody_can_answer())
    stuck_ids = list(stuck.order_by(*question_texts.BY_DEADLINE).values_list("pk", flat=True))
    late_ids = list(late.order_by("due_at").values_list("pk", flat=True)[:ROWS_SHOWN])
    only_stuck = [pk for pk in stuck_ids if pk not in late_ids][:ROWS_SHOWN]
    ids = [*late_ids, *only_stuck]
    rows = Interaction.objects.select_related("run__conversation__owner", "assignee").in_bulk(ids)
    first = pgettext("hitl", "of the %(count)s due first") % {"count": f"{LOOKED_AT:,}"}
    note = first if pending > LOOKED_AT else ""
    tiles = [
        Tile(pgettext("hitl", "Overdue"), late.count(), f"{page}?waits=overdue"),
        Tile(pgettext("hitl", "Nobody can answer"), len(stuck_ids), f"{page}?waits=nobody", note),
    ]
    return tiles, list(_questions([rows[pk] for pk in ids if pk in rows], set(stuck_ids)))


def _questions(prompts: Iterable[Interaction], stuck_ids: set[Any]) -> Iterator[Need]:
    now, nobody = timezone.now(), pgettext("hitl", "Nobody can answer")
    for prompt in prompts:
        is_late = prompt.due_at is not None and prompt.due_at < now
        yield Need(
            question_texts.link(prompt),
            prompt.run.workflow,
            _red(pgettext("hitl", "Overdue") if is_late else nobody),
            nobody if is_late and prompt.pk in stuck_ids else "",
            asked_of(prompt),
            prompt.due_at if is_late else prompt.created_at,
        )


def asked_of(prompt: Interaction) -> str:
    """Name the claimant of a pending prompt, else the candidates or the conversation's owner."""
    if prompt.assignee is not None:
        return cells.display_name(prompt.assignee)
    view = QuestionView.of(prompt)
    return view.names if view.assignment else cells.display_name(prompt.run.conversation.owner)


def read_runs() -> tuple[list[Tile], list[Need]]:
    """Count suspended runs and those that failed within a day, and list the latest ones of each."""
    page = reverse("admin:sessions_app_run_changelist")
    # Cut the time to whole minutes, as the link's filter does, so that count and list agree.
    since = (timezone.now() - timedelta(days=1)).replace(second=0, microsecond=0)
    suspended = Run.objects.filter(status=Run.Status.SUSPENDED)
    failed = Run.objects.filter(status=Run.Status.FAILED, finished_at__gte=since)
    tiles = [
        Tile(pgettext("hitl", "Suspended"), suspended.count(), f"{page}?status__exact=suspended"),
        Tile(
            pgettext("hitl", "Failed"),
            failed.count(),
            f"{page}?status__exact=failed&finished_at__gte={since:%Y-%m-%dT%H:%MZ}",
            pgettext("hitl", "in 24 hours"),
        ),
    ]
    rows = (
        *with_end(suspended).order_by("-created_at")[:ROWS_SHOWN],
        *with_end(failed).order_by("-created_at")[:ROWS_SHOWN],
    )
    return tiles, [
        Need(
            run_texts.link(run),
            run.workflow,
            _red(cells.status_word(run.status).capitalize()),
            run_texts.cause(run),
            since=run.ended_at,
        )
        for run in rows
    ]


def with_end(runs: QuerySet[Run]) -> QuerySet[Any]:
    """Annotate runs with the time of their last status change, as no column has a suspension's."""
    changes = Event.objects.filter(
        conversation=OuterRef("conversation"), run=OuterRef("pk"), type=Event.Type.RUN
    )
    last = changes.order_by("-sequence").values("created_at")[:1]
    return runs.annotate(ended_at=Subquery(last))


def _red(words: str) -> str:
    return format_html('<span class="state failed">{}</span>', words)


def read(*, with_questions: bool, with_runs: bool) -> JsonObject:
    """Return the tiles and rows that the reader may see, the most urgent kind first.

    `pending` counts the questions that wait, `expiring` those that expire within the hour.
    """
    prompts = Interaction.objects.filter(PENDING)
    # Each count uses an index; one query for both counts would read all rows.
    pending = prompts.count() if with_questions else None
    soon = timezone.now() + timedelta(hours=1)
    parts = [
        *([] if pending is None else [read_questions(pending)]),
        *([read_runs()] if with_runs else []),
    ]
    return {
        "tiles": [tile for tiles, _ in parts for tile in tiles],
        "needs": [need for _, needs in parts for need in needs],
        "pending": pending,
        "expiring": prompts.filter(expires_at__lt=soon).count() if pending else 0,
    }
