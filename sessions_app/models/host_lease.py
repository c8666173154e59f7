"""A host's lease on its key."""

from django.db import models


class HostLease(models.Model):
    """Who drives the runs of a key. A raised `generation` fences off every earlier host."""

    key = models.CharField(max_length=200, primary_key=True)
    generation = models.BigIntegerField(default=0)
    worker = models.CharField(max_length=200)
    workflow = models.CharField(max_length=100)
    # The user whose builder the host keeps; empty for a shared workflow.
    user_id = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField()
    last_activity = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    # An operator wants the builder closed; its host does so once nothing uses it, and clears this.
    evict_requested_at = models.DateTimeField(null=True, blank=True)
    # Of the builder: total_requests, error_count, total_latency_ms, ref_count.
    metrics = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.key} #{self.generation}"
