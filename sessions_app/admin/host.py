"""Hosts: who drives the runs of a key, and the builder it keeps."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from sessions_app import operators
from sessions_app.admin.base import ReadOnlyAdmin
from sessions_app.models import HostLease


class HasBuilder(admin.SimpleListFilter):
    """Those with a live builder."""

    title = "builder"
    parameter_name = "builder"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """With one."""
        return [("live", "live")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[HostLease]) -> QuerySet[HostLease]:
        """A lease has metrics while its builder lives."""
        return queryset.exclude(metrics={}) if self.value() == "live" else queryset


@admin.register(HostLease)
class HostLeaseAdmin(ReadOnlyAdmin):
    """A lease of a key, and the metrics of the key's builder."""

    list_display = (
        "key",
        "held",
        "in_use",
        "requests",
        "errors",
        "mean_latency",
        "last_activity",
        "worker",
    )
    list_filter = (HasBuilder, "workflow")
    search_fields = ("key", "user_id__exact")
    ordering = ("-last_activity",)
    actions = ("evict",)

    @admin.action(description="Close the idle builder", permissions=["operate"])
    def evict(self, request: HttpRequest, queryset: QuerySet[HostLease]) -> None:
        """Close the builders that nothing uses; the next run of the user builds anew."""
        self.operate(
            request,
            queryset,
            lambda lease: operators.evict(lease.key),
            done="closed",
            refused="It has no builder in this process, or the builder is in use.",
        )

    @admin.display(description="held", boolean=True)
    def held(self, lease: HostLease) -> bool:
        """Whether a host has the key now."""
        return lease.released_at is None

    @admin.display(description="in use by")
    def in_use(self, lease: HostLease) -> Any:
        """Sessions that hold the builder now."""
        return lease.metrics.get("ref_count", "")

    @admin.display(description="requests")
    def requests(self, lease: HostLease) -> Any:
        """Runs that the builder has served."""
        return lease.metrics.get("total_requests", "")

    @admin.display(description="errors")
    def errors(self, lease: HostLease) -> Any:
        """Those of them that failed."""
        return lease.metrics.get("error_count", "")

    @admin.display(description="mean time")
    def mean_latency(self, lease: HostLease) -> str:
        """Of a run, without the waiting for people."""
        requests = lease.metrics.get("total_requests")
        if not requests:
            return ""
        mean = timedelta(milliseconds=lease.metrics.get("total_latency_ms", 0) / requests)
        return f"{mean.total_seconds():.3f} s"
