"""The page Answers: the speed of people and steps, overdue questions, and waiting notices."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db.models import Avg, Count, F, Max, Min, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import pgettext

from sessions_app.contrib.operations.admin import question_texts
from sessions_app.contrib.operations.admin.cells import moment, show_duration
from sessions_app.contrib.operations.admin.read_only import USERNAME
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction, JournalEntry, PendingSignal
from sessions_app.signals.notice_kinds import kinds

DAYS = 30
# Maximum number of newest prompts, and of newest steps, from which times are computed.
SAMPLED_ROWS = 10_000
ROWS_SHOWN = 20
ANSWERED = F("answered_at") - F("created_at")
STEP = F("finished_at") - F("started_at")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> JsonObject:
    """Make a table for the template; each cell is a pair with the heading of its column."""
    cells = [list(zip(columns, row, strict=True)) for row in rows]
    return {"title": title, "columns": columns, "rows": cells}


def tables(*, with_steps: bool) -> list[JsonObject]:
    """Return the tables of the page. Each takes one query, and has at most `ROWS_SHOWN` rows."""
    since = timezone.now() - timedelta(days=DAYS)
    newest = Interaction.objects.order_by("-created_at").values("pk")[:SAMPLED_ROWS]
    answered = Interaction.objects.filter(
        pk__in=newest, status=Interaction.Status.ANSWERED, answered_at__gte=since
    )
    parts = [
        _overdue(),
        _times(
            pgettext("hitl", "Time to answer by workflow"),
            pgettext("hitl", "workflow"),
            answered,
            "run__workflow",
        ),
        _times(
            pgettext("hitl", "Time to answer by group"),
            pgettext("hitl", "group"),
            answered,
            "candidates__group__name",
        ),
        _times(
            pgettext("hitl", "Who takes longest"),
            pgettext("hitl", "who"),
            answered,
            f"answered_by__{USERNAME}",
        ),
    ]
    return [*parts, *([_steps(since)] if with_steps else []), _notices()]


def _overdue() -> JsonObject:
    late = Interaction.objects.filter(
        status=Interaction.Status.PENDING, due_at__lt=timezone.now()
    ).select_related("run__conversation__owner", "assignee")
    rows = [
        (question_texts.link(prompt), question_texts.whom(prompt), moment(prompt.due_at))
        for prompt in late.order_by("due_at")[:ROWS_SHOWN]
    ]
    return _table(
        pgettext("hitl", "Overdue"),
        (pgettext("hitl", "question"), pgettext("hitl", "asked of"), pgettext("hitl", "due")),
        rows,
    )


def _times(title: str, subject: str, answered: QuerySet[Interaction], name: str) -> JsonObject:
    """Return answer times grouped by the lookup `name`, the slowest group first."""
    groups = (
        answered.filter(**{f"{name}__isnull": False})
        .order_by()
        .values_list(name)
        .annotate(count=Count("pk"), mean=Avg(ANSWERED), longest=Max(ANSWERED))
    )
    rows = [
        (of, count, show_duration(mean), show_duration(longest))
        for of, count, mean, longest in groups.order_by("-mean")[:ROWS_SHOWN]
    ]
    return _table(
        title,
        (
            subject,
            pgettext("hitl", "answers"),
            pgettext("hitl", "on average"),
            pgettext("hitl", "longest"),
        ),
        rows,
    )


def _steps(since: object) -> JsonObject:
    newest = JournalEntry.objects.order_by("-pk").values("pk")[:SAMPLED_ROWS]
    steps = JournalEntry.objects.filter(
        pk__in=newest,
        kind__in=(JournalEntry.Kind.STEP, JournalEntry.Kind.STREAM),
        started_at__gte=since,
        finished_at__isnull=False,
    )
    groups = (
        steps.order_by()
        .values_list("run__workflow", "name")
        .annotate(
            count=Count("pk"),
            retries=Sum("attempts") - Count("pk"),
            failed=Count("pk", filter=Q(error__isnull=False)),
            mean=Avg(STEP),
            longest=Max(STEP),
        )
    )
    rows = [
        (*counts, show_duration(mean), show_duration(longest))
        for *counts, mean, longest in groups.order_by("-longest")[:ROWS_SHOWN]
    ]
    columns = (
        pgettext("hitl", "workflow"),
        pgettext("hitl", "step"),
        pgettext("hitl", "calls"),
        pgettext("hitl", "retries"),
        pgettext("hitl", "failed"),
    )
    return _table(
        pgettext("hitl", "Slowest steps"),
        (*columns, pgettext("hitl", "on average"), pgettext("hitl", "longest")),
        rows,
    )


def _notices() -> JsonObject:
    """Count the unsent notices by kind."""
    notices = PendingSignal.objects.filter(name=PendingSignal.NOTICE, due_at__isnull=False)
    late = Q(due_at__lt=timezone.now() - timedelta(minutes=1))
    rows = []
    for kind in kinds.values():
        counts = notices.filter(about__has_key=kind.key).aggregate(
            count=Count("pk"),
            late=Count("pk", filter=late),
            again=Count("pk", filter=Q(attempts__gt=1)),
            most=Max("attempts"),
            first=Min("due_at"),
        )
        numbers = (counts["count"], counts["late"], counts["again"], counts["most"] or 0)
        rows.append((kind.plural, *numbers, moment(counts["first"])))
    columns = (
        pgettext("hitl", "notices"),
        pgettext("hitl", "to go out"),
        pgettext("hitl", "late"),
        pgettext("hitl", "tried again"),
        pgettext("hitl", "most attempts"),
    )
    return _table(
        pgettext("hitl", "Mails and webhooks"), (*columns, pgettext("hitl", "next")), rows
    )
