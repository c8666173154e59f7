"""The admin pages of processes (which are alive) and of host leases (who drives a key's runs)."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Case, FloatField, Q, QuerySet, Value, When
from django.http import HttpRequest

from sessions_app.admin import repairs
from sessions_app.admin.cells import ago
from sessions_app.admin.read_only import ConditionFilter, ReadOnlyAdmin, operation
from sessions_app.dispatch import processes
from sessions_app.models import HostLease, Process


class HasBuilder(ConditionFilter):
    """A filter for leases with a live builder: a lease has metrics while its builder lives."""

    title = parameter_name = "builder"
    conditions: ClassVar = {"live": ("live", lambda: ~Q(metrics={}))}


class IsHeld(ConditionFilter):
    """A filter for leases that a host holds now, and for those whose host disappeared."""

    title = parameter_name = "host"
    conditions: ClassVar = {
        "held": ("held", lambda: Q(released_at=None)),
        "gone": ("its worker is gone", lambda: Q(released_at=None, worker_alive=False)),
    }


@admin.register(HostLease)
class HostLeaseAdmin(ReadOnlyAdmin):
    """A lease of a key, and the metrics of the key's builder."""

    change_list_template = "admin/sessions_app/overviewed_list.html"
    list_display = ("key", "host", "generation", "since", "builder")
    list_filter = (IsHeld, HasBuilder, "workflow")
    search_fields = ("key", "user_id__exact", "worker")
    ordering = ("-last_activity",)
    actions = ("evict", "take_over")

    def get_queryset(self, request: HttpRequest) -> QuerySet[HostLease]:
        """Return the leases, annotated with whether the worker that took each is alive."""
        rows: QuerySet[HostLease] = super().get_queryset(request)
        # "" is no worker's name: Django cannot filter by what compares with an empty list.
        return rows.annotate(worker_alive=Q(worker__in=["", *processes.hosting_processes()]))

    def applies(self, action: str, row: Any) -> bool:
        """Return whether there is a builder to close, or a dead worker's host to take over."""
        if action == "evict":
            return bool(row.user_id) and (row.released_at is None or bool(row.metrics))
        return row.released_at is None and not row.worker_alive

    evict = operation(
        "Close the idle builder",
        lambda lease, _by: repairs.evict(lease.key),
        done="asked to close its builder",
        refusal="It has no builder.",
    )
    take_over = operation(
        "Take over (its worker is gone)",
        lambda lease, _by: repairs.take_over(lease.key),
        done="taken over",
        refusal="It has no host, or the worker of its host is alive.",
    )

    @admin.display(description="host", ordering="worker")
    def host(self, lease: Any) -> str:
        if lease.released_at is not None:
            return ""
        return str(lease.worker) if lease.worker_alive else f"{lease.worker} (gone)"

    @admin.display(description="since", ordering="started_at")
    def since(self, lease: HostLease) -> str:
        return ago(lease.started_at)

    @admin.display(description="builder")
    def builder(self, lease: HostLease) -> str:
        """Show whether a builder lives and what it has served; times exclude waiting for people."""
        state = "asked to close" if lease.evict_requested_at else ""
        if not (metrics := lease.metrics):
            return state
        requests = metrics.get("total_requests", 0)
        mean = metrics.get("total_latency_ms", 0) / 1000 / (requests or 1)
        return (
            f"{state or 'live'}: {requests} runs, {metrics.get('error_count', 0)} failed, "
            f"{mean:.3f} s each, {metrics.get('ref_count', 0)} now"
        )


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    """The admin pages of process reports. A process that reports nothing for an hour is deleted."""

    change_list_template = "admin/sessions_app/overviewed_list.html"
    list_display = ("name", "kind", "state", "seen", "hosting", "queue_names", "started")
    ordering = ("kind", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Process]:
        by_name = processes.processes()
        silences = [When(pk=name, then=Value(by_name[name].silent)) for name in by_name]
        rows: QuerySet[Process] = super().get_queryset(request)
        return rows.annotate(
            is_alive=Q(pk__in=[name for name, process in by_name.items() if process.alive]),
            silent=Case(*silences, default=Value(0.0), output_field=FloatField()),
        )

    @admin.display(description="state")
    def state(self, worker: Any) -> str:
        if not worker.is_alive:
            return "gone"
        return "draining" if worker.draining else "alive"

    @admin.display(description="last seen")
    def seen(self, worker: Any) -> str:
        """Show when the process was last heard of, by its heartbeat if it has one."""
        return f"{worker.silent:.0f} s ago"

    @admin.display(description="hosts", ordering="hosts")
    def hosting(self, worker: Process) -> str:
        if worker.kind == Process.Kind.WEB:
            return ""
        return (
            f"{worker.hosts} of {worker.concurrency}" if worker.concurrency else f"{worker.hosts}"
        )

    @admin.display(description="queues")
    def queue_names(self, worker: Process) -> str:
        if worker.kind != Process.Kind.WORKER:
            return ""
        return ", ".join(worker.queues) or "all"

    @admin.display(description="started", ordering="started_at")
    def started(self, worker: Process) -> str:
        return ago(worker.started_at)
