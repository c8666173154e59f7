"""The template tags of the admin's lists and of a run's page.

The tags show the state of the deployment, and the questions and runs that need an operator.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from django import template
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Q
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import pgettext_lazy

from sessions_app.contrib.operations.admin import attention, run_texts
from sessions_app.contrib.operations.admin.cells import moment, pretty, status_word
from sessions_app.hosting.dispatch import queue
from sessions_app.json_types import JsonObject
from sessions_app.lifecycle import processes
from sessions_app.models import HostLease, Process, Run
from sessions_app.workflows import registry

register = template.Library()
NO_VALUE = pgettext_lazy("hitl", "none")
UNFINISHED = (Run.Status.QUEUED, Run.Status.RUNNING, Run.Status.WAITING, Run.Status.SUSPENDED)
# Maximum number of runs counted by version, the oldest of each status: they have old versions.
OLDEST = 10_000


@register.inclusion_tag("admin/sessions_app/overview.html", takes_context=True)
def overview(context: template.Context) -> JsonObject:
    """Render the state of the deployment, for people who may see its processes."""
    may_view = context["request"].user.has_perm("sessions_app.view_process")
    return {"overview": count_deployment() if may_view else None}


@register.inclusion_tag("admin/sessions_app/waiting.html", takes_context=True)
def waiting(context: template.Context) -> JsonObject:
    """Render the questions and runs that need an operator, if the user may read them."""
    user = context["request"].user
    with_questions, with_runs = (
        user.has_perm(f"sessions_app.view_{name}") or user.has_perm(f"sessions_app.change_{name}")
        for name in ("interaction", "run")
    )
    return attention.read(with_questions=with_questions, with_runs=with_runs)


@register.inclusion_tag("admin/sessions_app/filter.html")
def folded_filter(changes: ChangeList, spec: Any) -> JsonObject:
    """Render a list's filter, folded; rows without a value are a choice with a name of its own."""
    choices = list(spec.choices(changes))
    selected = [choice["display"] or NO_VALUE for choice in choices[1:] if choice["selected"]]
    return {
        "title": spec.title,
        "choices": choices,
        "none": NO_VALUE,
        "is_active": bool(selected),
        "selected": selected[0] if selected else "",
    }


@register.filter
def labelled(rows: Iterable[Sequence[str]], headers: Iterable[JsonObject]) -> list[list[str]]:
    """Add the column's heading to each cell of a list, as narrow screens show no header row."""
    labels = [capfirst(strip_tags(header["text"])) for header in headers]
    return [
        [
            # Insert the attribute behind the first three characters of the cell, `<td` or `<th`.
            format_html('{} data-label="{}"{}', SafeString(cell[:3]), label, SafeString(cell[3:]))
            for cell, label in zip(row, labels, strict=True)
        ]
        for row in rows
    ]


@register.inclusion_tag("admin/sessions_app/facts.html")
def facts(fieldset: Any) -> JsonObject:
    """Render the fields of a row that are not empty."""
    rows = ((field.field["label"], _contents(field)) for line in fieldset for field in line)
    return {
        "title": fieldset.name,
        "element": "details" if "collapse" in fieldset.classes else "section",
        "facts": [(label, contents) for label, contents in rows if contents],
    }


def _contents(field: Any) -> str:
    value = getattr(field.form.instance, str(field.field["field"]), None)
    if isinstance(value, dict | list):
        return pretty(value) if value else ""
    contents: str = field.contents()
    return contents if contents.strip() else ""


@register.inclusion_tag("admin/sessions_app/timeline.html")
def timeline(run: Run) -> JsonObject:
    """Render the timeline of a run."""
    moments = run_texts.timeline(run)
    return {"moments": moments, "slowest": run_texts.slowest(moments)}


register.filter("moment", moment)


def count_deployment() -> dict[str, object]:
    """Return the figures shown above the lists of processes and hosts.

    `mismatches`: waiting runs that the code no longer matches; `jobs`: the URL of the page of
    Procrastinate's jobs, if the admin has one.
    """
    all_processes = processes.processes().values()
    alive = [process.row for process in all_processes if process.alive]
    hosting_names = [row.name for row in alive if row.kind != Process.Kind.WEB]
    statuses = Run.objects.filter(status__in=UNFINISHED).order_by().values_list("status")
    counts = dict(statuses.annotate(Count("pk")))
    leases = HostLease.objects.filter(released_at=None)
    orphaned = Count("pk", filter=~Q(worker__in=["", *hosting_names]))
    waits = Run.objects.filter(status=Run.Status.WAITING)
    return {
        "web": sum(row.kind != Process.Kind.WORKER for row in alive),
        "workers": len(hosting_names),
        "gone": len(all_processes) - len(alive),
        "runs": [
            (status.value, status_word(status), counts.get(status.value, 0))
            for status in UNFINISHED
        ],
        "mismatches": waits.exclude(replay_problem="").count(),
        "versions": _versions(),
        **leases.aggregate(held=Count("pk"), orphaned=orphaned),
        "queues": queue.figures(),
        "jobs": _jobs(),
    }


def _versions() -> list[JsonObject]:
    """Count the oldest unfinished runs by version, for workflows with runs of earlier versions.

    `query` filters the list of runs; runs of a version that is not `declared` cannot finish.
    """
    counts: Counter[tuple[str, int]] = Counter()
    for status in UNFINISHED:
        oldest = Run.objects.filter(status=status).order_by("created_at").values("pk")[:OLDEST]
        runs = Run.objects.filter(pk__in=oldest, version__isnull=False).order_by()
        for workflow, version, count in runs.values_list("workflow", "version").annotate(
            Count("pk")
        ):
            counts[workflow, version] += count
    is_newest = {
        (name, declaration.version): declaration is newest
        for name, newest in registry.declared_workflows().items()
        for declaration in newest.versions
    }
    workflow_names = {each[0] for each in counts if not is_newest.get(each)}
    return [
        {
            "workflow": name,
            "version": version,
            "count": count,
            "declared": (name, version) in is_newest,
            "query": urlencode({"workflow": name, "version": version, "finished_at__isnull": True}),
        }
        for (name, version), count in sorted(counts.items())
        if name in workflow_names
    ]


def _jobs() -> str:
    try:
        return reverse("admin:procrastinate_procrastinatejob_changelist")
    except NoReverseMatch:  # no link: only a cluster has admin pages of jobs
        return ""
