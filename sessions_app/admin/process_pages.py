"""Processes: which there are, and whether they are alive."""

from typing import Any

from django.contrib import admin
from django.db.models import Case, FloatField, Q, QuerySet, Value, When
from django.http import HttpRequest

from sessions_app.admin.cells import ago
from sessions_app.admin.read_only import ReadOnlyAdmin
from sessions_app.dispatch import processes
from sessions_app.models import Process


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    """What each process says of itself. One that says nothing for an hour is dropped."""

    change_list_template = "admin/sessions_app/overviewed_list.html"
    list_display = ("name", "kind", "state", "seen", "hosting", "queue_names", "started")
    ordering = ("kind", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Process]:
        """With what is known of each."""
        known = processes.processes()
        silences = [When(pk=name, then=Value(known[name].silent)) for name in known]
        rows: QuerySet[Process] = super().get_queryset(request)
        return rows.annotate(
            is_alive=Q(pk__in=[name for name, process in known.items() if process.alive]),
            silent=Case(*silences, default=Value(0.0), output_field=FloatField()),
        )

    @admin.display(description="state")
    def state(self, worker: Any) -> str:
        """Whether it was seen lately."""
        if not worker.is_alive:
            return "gone"
        return "draining" if worker.draining else "alive"

    @admin.display(description="last seen")
    def seen(self, worker: Any) -> str:
        """When, by heartbeat if it has one."""
        return f"{worker.silent:.0f} s ago"

    @admin.display(description="hosts", ordering="hosts")
    def hosting(self, worker: Process) -> str:
        """How many keys it hosts, and may."""
        if worker.kind == Process.Kind.WEB:
            return ""
        return (
            f"{worker.hosts} of {worker.concurrency}" if worker.concurrency else f"{worker.hosts}"
        )

    @admin.display(description="queues")
    def queue_names(self, worker: Process) -> str:
        """Which queues it takes jobs from."""
        if worker.kind != Process.Kind.WORKER:
            return ""
        return ", ".join(worker.queues) or "all"

    @admin.display(description="started", ordering="started_at")
    def started(self, worker: Process) -> str:
        """How long ago."""
        return ago(worker.started_at)
