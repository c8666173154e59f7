"""A process of this deployment: what it says of itself, every few seconds."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Process(models.Model):
    """A process and its last report. Only operators read it: nothing is decided by it."""

    class Kind(models.TextChoices):
        WEB = "web", _("web")  # serves pages and sockets, hosts nothing
        WORKER = "worker", _("worker")  # hosts runs
        BOTH = "both", _("web and worker")  # the one process of the local form

    name = models.CharField(max_length=200, primary_key=True, verbose_name=_("name"))  # host:pid
    kind = models.CharField(max_length=10, choices=Kind.choices, verbose_name=_("kind"))
    # What Procrastinate calls it, whose heartbeats decide about take-over.
    job_worker = models.BigIntegerField(null=True, blank=True)
    queues = models.JSONField(default=list, blank=True)  # empty: all
    concurrency = models.PositiveIntegerField(default=0)
    hosts = models.PositiveIntegerField(default=0)
    draining = models.BooleanField(default=False)
    # Digests of settings that must be the same everywhere, by name.
    settings = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"
