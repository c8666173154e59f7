"""The leases of hosts, each of which drives the runs of one key, and the processes with hosts."""

from uuid import UUID

from django.db import models
from django.utils.translation import pgettext_lazy


class HostKey(str):
    """The key of a host, `kind:subject:workflow`: a workflow's runs of a user or conversation."""

    __slots__ = ()
    # The beginning of keys whose subject is a conversation, not a user.
    CONVERSATION = "conversation:"

    @classmethod
    def of_user(cls, name: str, workflow: str) -> "HostKey":
        """Return the key of a workflow with a per-user builder. `name`: see `people.name_of`."""
        return cls(f"user:{name}:{workflow}")

    @classmethod
    def of_conversation(cls, conversation: UUID, workflow: str) -> "HostKey":
        """Return the key of a conversation of a shared workflow."""
        return cls(f"{cls.CONVERSATION}{conversation}:{workflow}")

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self.split(":", 2)[2]

    @property
    def user(self) -> str:
        """The id of the user whose builder the host keeps; empty for a shared workflow."""
        return "" if self.startswith(self.CONVERSATION) else self.split(":", 2)[1]


class HostLease(models.Model):
    """The lease of a key, held by the worker that drives the key's runs.

    Each new host of a key raises `generation`, and writes with a lower generation are refused.
    """

    key = models.CharField(max_length=200, primary_key=True)
    generation = models.BigIntegerField(default=0)
    worker = models.CharField(max_length=200)
    workflow = models.CharField(max_length=100, verbose_name=pgettext_lazy("hitl", "workflow"))
    # Id of the user whose builder (a reusable object) the host keeps; empty for a shared workflow.
    user_id = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField()
    last_activity = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    # Time of an operator's request to close the builder. The host does so, and clears this field,
    # once the builder is idle.
    evict_requested_at = models.DateTimeField(null=True, blank=True)
    # Metrics of the builder: total_requests, error_count, total_latency_ms, ref_count.
    metrics = models.JSONField(default=dict)

    class Meta:
        verbose_name = pgettext_lazy("hitl", "host")
        verbose_name_plural = pgettext_lazy("hitl", "hosts")

    def __str__(self) -> str:
        whose = f"user {self.user_id}" if self.user_id else "one conversation"
        return f"{self.workflow} for {whose}"


class Process(models.Model):
    """A process and its last report, for operators only; no decision depends on it."""

    class Kind(models.TextChoices):
        WEB = "web", pgettext_lazy("hitl", "web")  # serves pages and sockets, executes no runs
        WORKER = (
            "worker",
            pgettext_lazy("hitl", "worker"),
        )  # executes runs, in a deployment of several processes
        BOTH = (
            "both",
            pgettext_lazy("hitl", "web and worker"),
        )  # the only process of a deployment without workers

    name = models.CharField(
        max_length=200, primary_key=True, verbose_name=pgettext_lazy("hitl", "name")
    )  # host:pid
    kind = models.CharField(
        max_length=10, choices=Kind.choices, verbose_name=pgettext_lazy("hitl", "kind")
    )
    # The worker's id in Procrastinate. If its heartbeats there stop, others take over its runs.
    job_worker = models.BigIntegerField(null=True, blank=True)
    queues = models.JSONField(default=list, blank=True)  # an empty list means all queues
    concurrency = models.PositiveIntegerField(default=0)
    # Seconds that the process's clock is ahead of the database's; negative if it is behind.
    clock_ahead = models.FloatField(default=0, db_default=0)
    hosts = models.PositiveIntegerField(default=0)
    draining = models.BooleanField(default=False)
    # Digests, by name, of settings that must be equal in all processes.
    settings = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        verbose_name = pgettext_lazy("hitl", "process")
        verbose_name_plural = pgettext_lazy("hitl", "processes")

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"
