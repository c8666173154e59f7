"""The admin pages of hosts (each drives the runs of one key) and of processes."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import Case, Count, FloatField, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.contrib.operations import repairs
from sessions_app.contrib.operations.admin import run_texts
from sessions_app.contrib.operations.admin.cells import (
    ago,
    display_name,
    display_names,
    moment,
    show_duration,
)
from sessions_app.contrib.operations.admin.read_only import (
    ConditionFilter,
    DeclaredWorkflow,
    ReadOnlyAdmin,
    column,
    keys_by,
    operation,
)
from sessions_app.lifecycle import processes
from sessions_app.models import Conversation, HostLease, Process, Run

LEASE_FIELDS = (
    *("key", "generation", "user_id", "worker", "started_at"),
    *("last_activity", "released_at", "evict_requested_at", "metrics"),
)
PROCESS_FIELDS = (
    *("job_worker", "queues", "concurrency", "hosts", "draining"),
    *("settings", "clock_ahead", "started_at", "last_seen"),
)


class HasBuilder(ConditionFilter):
    """A filter of hosts by the state of their builder; only a live builder has metrics."""

    title = pgettext_lazy("hitl", "builder")
    parameter_name = "builder"
    conditions: ClassVar = {
        "live": (pgettext_lazy("hitl", "live"), lambda: ~Q(metrics={})),
        "used": (pgettext_lazy("hitl", "in use"), lambda: Q(metrics__ref_count__gt=0)),
        "idle": (pgettext_lazy("hitl", "idle"), lambda: Q(metrics__ref_count=0)),
        "none": (pgettext_lazy("hitl", "none"), lambda: Q(metrics={})),
    }


class IsHeld(ConditionFilter):
    """A filter of leases: those that a host holds, and those left behind by a dead process."""

    title = pgettext_lazy("hitl", "worker")
    parameter_name = "host"
    conditions: ClassVar = {
        "held": (pgettext_lazy("hitl", "has one"), lambda: Q(released_at=None)),
        "gone": (
            pgettext_lazy("hitl", "its worker is gone"),
            lambda: Q(released_at=None, worker_alive=False),
        ),
    }


@admin.register(HostLease)
class HostLeaseAdmin(ReadOnlyAdmin):
    """The admin pages of hosts: the lease of a key, its owner, and the metrics of its builder."""

    list_display = (
        *("who", "what", "builder", "in_use", "requests", "errors"),
        *("latency", "activity", "host"),
    )
    list_filter = (HasBuilder, IsHeld, ("workflow", DeclaredWorkflow))
    search_fields = ("pk__exact",)
    searched = run_texts.NAMES_HELP
    ordering = ("-last_activity",)
    readonly_fields = list_display
    fieldsets = (
        (None, {"fields": list_display}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": LEASE_FIELDS, "classes": ("collapse",)}),
    )
    actions = ("evict", "take_over")

    def get_queryset(self, request: HttpRequest) -> QuerySet[HostLease]:
        """Return the leases, annotated with whether the worker of each is alive."""
        rows: QuerySet[HostLease] = super().get_queryset(request)
        # Add "", which names no worker, because Django cannot annotate by an empty list.
        return rows.annotate(worker_alive=Q(worker__in=["", *processes.hosting_processes()]))

    def read_beside(self, rows: Sequence[Any]) -> None:
        """Set the owner, the conversation and the run counts of each lease.

        A host with a user's builder serves all conversations of the user: its conversation is None.
        """
        names = display_names(lease.user_id for lease in rows if lease.user_id)
        conversations = _conversations(rows)
        counts = _count_runs(lease.key for lease in rows)
        for lease in rows:
            lease.conversation = conversation = conversations.get(_subject(lease))
            owner = display_name(conversation.owner) if conversation else names.get(lease.user_id)
            lease.owner = owner or pgettext("hitl", "deleted")
            lease.runs = counts.get(lease.key, {})

    def title_of(self, row: Any) -> str:
        about = f"{row.workflow}, {row.conversation}" if row.conversation else row.workflow
        return f"{row.owner}: {about}"

    def named(self, term: str) -> list[QuerySet[Any]]:
        """Return the matching keys; a term that matches a run also finds the run's host."""
        runs = keys_by(Run, run_texts.NAMES, term)
        of_runs = [Run.objects.filter(pk__in=found).values("key") for found in runs]
        return [*super().named(term), *of_runs]

    def applies(self, action: str, row: Any) -> bool:
        """Return whether a builder can be closed, or a dead worker's host be taken over."""
        if action == "evict":
            return bool(row.user_id) and (row.released_at is None or bool(row.metrics))
        return row.released_at is None and not row.worker_alive

    evict = operation(
        pgettext_lazy("hitl", "Evict: close the builder once nothing uses it"),
        lambda lease, _by: repairs.evict(lease.key),
        done=pgettext_lazy("hitl", "asked to close its builder"),
        refusal=pgettext_lazy("hitl", "It has no builder."),
    )
    take_over = operation(
        pgettext_lazy("hitl", "Take over (its worker is gone)"),
        lambda lease, _by: repairs.take_over(lease.key),
        done=pgettext_lazy("hitl", "taken over"),
        refusal=pgettext_lazy("hitl", "It has no host, or the worker of its host is alive."),
    )

    who = column(pgettext_lazy("hitl", "who"), lambda lease: lease.owner)
    activity = column(
        pgettext_lazy("hitl", "last activity"), lambda lease: moment(lease.last_activity)
    )
    # Numbers of the key's runs that have ended, and that have failed, since the beginning.
    requests = column(pgettext_lazy("hitl", "requests"), lambda lease: lease.runs.get("ended", 0))
    errors = column(pgettext_lazy("hitl", "errors"), lambda lease: lease.runs.get("failed", 0))

    @admin.display(description=pgettext_lazy("hitl", "workflow"))
    def what(self, lease: Any) -> str:
        """Name the workflow, and the conversation if the host is for one."""
        if (conversation := lease.conversation) is None:
            return str(lease.workflow)
        page = reverse("admin:sessions_app_conversation_change", args=[conversation.pk])
        cell = '{} <br><a href="{}">{}</a>'
        return format_html(cell, lease.workflow, page, conversation)

    @admin.display(description=pgettext_lazy("hitl", "builder"))
    def builder(self, lease: HostLease) -> str:
        """Show the state of the builder: live, idle, none, shared with all, or asked to close."""
        if lease.evict_requested_at:
            return pgettext("hitl", "asked to close")
        if lease.metrics:
            kind, word = (
                ("running", pgettext_lazy("hitl", "live"))
                if _uses(lease)
                else ("idle", pgettext_lazy("hitl", "idle"))
            )
        else:
            kind, word = (
                "none",
                pgettext_lazy("hitl", "none")
                if lease.user_id
                else pgettext_lazy("hitl", "shared with all"),
            )
        return format_html('<span class="state {}">{}</span>', kind, word)

    @admin.display(description=pgettext_lazy("hitl", "in use by"))
    def in_use(self, lease: Any) -> int:
        """Return the number of uses of the builder; for a shared one, of the host's active runs."""
        return _uses(lease) if lease.metrics else int(lease.runs.get("running", 0))

    @admin.display(description=pgettext_lazy("hitl", "latency"))
    def latency(self, lease: HostLease) -> str:
        """Return how long a request of the builder takes on average, without waits for people."""
        if not (count := lease.metrics.get("total_requests", 0)):
            return ""
        return show_duration(timedelta(milliseconds=lease.metrics["total_latency_ms"] / count))

    @admin.display(description=pgettext_lazy("hitl", "worker"))
    def host(self, lease: Any) -> str:
        """Return the name of the process that hosts the key now; empty without a host."""
        if lease.released_at is not None:
            return ""
        gone = pgettext("hitl", "%(worker)s (gone)") % {"worker": lease.worker}
        return str(lease.worker) if lease.worker_alive else gone


def _uses(lease: HostLease) -> int:
    return int(lease.metrics.get("ref_count", 0))


def _subject(lease: HostLease) -> str:
    """Return the id in a host's key: the user's, or else the conversation's."""
    return lease.user_id or lease.key.split(":", 2)[1]


def _conversations(leases: Iterable[HostLease]) -> dict[str, Conversation]:
    """Return the conversations of hosts of shared workflows, by id, with their owners."""
    ids = []
    for lease in leases:
        with suppress(ValueError):
            ids.append(UUID(_subject(lease)))
    rows = Conversation.objects.filter(pk__in=ids).select_related("owner")
    return {str(row.pk): row for row in rows}


def _count_runs(keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    rows = Run.objects.filter(key__in=list(keys)).order_by().values("key")
    counts = rows.annotate(
        ended=Count("pk", filter=Q(status__in=Run.FINISHED)),
        failed=Count("pk", filter=Q(status=Run.Status.FAILED)),
        running=Count("pk", filter=Q(status=Run.Status.RUNNING)),
    )
    return {row["key"]: dict(row) for row in counts}


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    """The admin pages of processes. A row without a report for an hour is deleted."""

    change_list_template = "admin/sessions_app/overviewed_list.html"
    list_display = ("name", "kind", "state", "seen", "hosting", "queue_names", "started")
    ordering = ("kind", "name")
    sortable_by = list_display
    readonly_fields = list_display
    fieldsets = (
        (None, {"fields": list_display}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": PROCESS_FIELDS, "classes": ("collapse",)}),
    )

    def title_of(self, row: Process) -> str:
        return f"{row.name} ({row.get_kind_display()})"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Process]:
        by_name = processes.processes()
        silences = [When(pk=name, then=Value(by_name[name].silent)) for name in by_name]
        rows: QuerySet[Process] = super().get_queryset(request)
        return rows.annotate(
            is_alive=Q(pk__in=[name for name, process in by_name.items() if process.alive]),
            silent=Case(*silences, default=Value(0.0), output_field=FloatField()),
        )

    started = column(
        pgettext_lazy("hitl", "started"), lambda row: ago(row.started_at), ordering="started_at"
    )
    # Seconds since a job worker's last heartbeat, or any other process's last report.
    seen = column(
        pgettext_lazy("hitl", "last seen"),
        lambda row: pgettext("hitl", "%(time)s ago") % {"time": f"{row.silent:.0f} s"},
    )

    @admin.display(description=pgettext_lazy("hitl", "state"))
    def state(self, worker: Any) -> str:
        if not worker.is_alive:
            return pgettext("hitl", "gone")
        return pgettext("hitl", "draining") if worker.draining else pgettext("hitl", "alive")

    @admin.display(description=pgettext_lazy("hitl", "hosts"), ordering="hosts")
    def hosting(self, worker: Process) -> str:
        if worker.kind == Process.Kind.WEB:
            return ""
        if not worker.concurrency:
            return f"{worker.hosts}"
        numbers = {"hosts": worker.hosts, "most": worker.concurrency}
        return pgettext("hitl", "%(hosts)s of %(most)s") % numbers

    @admin.display(description=pgettext_lazy("hitl", "queues"))
    def queue_names(self, worker: Process) -> str:
        if worker.kind != Process.Kind.WORKER:
            return ""
        return ", ".join(worker.queues) or pgettext("hitl", "all")
