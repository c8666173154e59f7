"""A run: one execution of a workflow for one user message."""

import uuid

from django.db import models
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.models.conversation import Conversation

TITLE = 80


class Run(models.Model):
    """A run: its message, and how far its execution has come."""

    class Status(models.TextChoices):
        # Stored, or resumed; it waits for its turn.
        QUEUED = "queued", _("queued")
        # It is the system's turn: a host drives it, or must take it up.
        RUNNING = "running", _("running")
        # It is a person's turn (or a durable sleep's); needs no host.
        WAITING = "waiting", _("waiting")
        # Stopped by an error that an operator can fix and resume.
        SUSPENDED = "suspended", _("suspended")
        COMPLETED = "completed", _("completed")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.WAITING)
    FINISHED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of its own: the unique constraint's begins with it.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="runs", db_index=False
    )
    # The run that runs this one, and the position of that in its journal.
    parent = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
        verbose_name=_("run that began it"),
    )
    parent_position = models.PositiveIntegerField(null=True, blank=True)
    # Which host drives it: a user of a per-user workflow, or a conversation of a shared one.
    key = models.CharField(max_length=200)
    # What it executes: the conversation's workflow, or of a child run its own.
    workflow = models.CharField(max_length=100, verbose_name=_("workflow"))
    # The conversation's last sequence when it was begun: runs have their turns in this order, which
    # no clock changes.
    sequence = models.BigIntegerField(default=0)
    # The client's id of the user message. Makes a repeated message harmless.
    message_id = models.CharField(max_length=200)
    text = models.TextField()
    # How the client wants to be told, in a word of its front end's; nothing here reads it.
    client_format = models.CharField(max_length=20, blank=True)
    metadata = models.JSONField(default=dict)
    # The version of the workflow that began it, and finishes it; None until then.
    version = models.PositiveIntegerField(null=True, blank=True, verbose_name=_("version"))
    # The changes of the code that it has from a position on: {why: position}.
    patches = models.JSONField(null=True, blank=True)
    # The run that it is a fork of, and from which position on it is new.
    forked_from = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="forks",
        db_index=False,
    )
    fork_position = models.PositiveIntegerField(null=True, blank=True)
    # The run that it goes on with, where that is not the one before it in the log. See `Branches`.
    follows = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="followers",
        db_index=False,
    )
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.QUEUED, verbose_name=_("status")
    )
    # The generation of the host that took it up last.
    generation = models.BigIntegerField(default=0)
    # How often a host took it up and died before the run came to a point where it could rest.
    crashes = models.PositiveSmallIntegerField(default=0)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    # Where it was stopped; what the journal has behind that is clean-up. A `StopPoint`.
    stop_point = models.JSONField(null=True, blank=True)
    # Earliest end of the durable sleeps that the run is in.
    wake_at = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # Why it could not go on, as a replay after the last start has found while it waits; else empty.
    replay_problem = models.TextField(blank=True, db_default="", verbose_name=_("replay problem"))
    created_at = models.DateTimeField(verbose_name=_("began"))
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = (
            models.UniqueConstraint(
                fields=["conversation", "message_id"], name="run_unique_message"
            ),
        )
        indexes = (
            models.Index(fields=["key", "status"], name="run_key_status"),
            models.Index(fields=["status", "created_at"], name="run_status_created"),
            # Else the list of all runs would sort all of them.
            models.Index(fields=["created_at"], name="run_created"),
            models.Index(
                fields=["wake_at"], name="run_wake_at", condition=models.Q(wake_at__isnull=False)
            ),
            # Else who counts a user's unfinished runs would read all that he ever had.
            models.Index(
                fields=["conversation"],
                name="run_unfinished",
                condition=models.Q(status__in=["queued", "running", "waiting"]),
            ),
            # Else who deletes a run would read all others. Few are forks.
            models.Index(
                fields=["forked_from"],
                name="run_forked_from",
                condition=models.Q(forked_from__isnull=False),
            ),
            models.Index(
                fields=["follows"], name="run_follows", condition=models.Q(follows__isnull=False)
            ),
            # Else the overview would read all that wait.
            models.Index(
                fields=["status"],
                name="run_replay_problem",
                condition=~models.Q(replay_problem=""),
            ),
            # Of those that have one, which are few.
            models.Index(
                fields=["parent"], name="run_parent", condition=models.Q(parent__isnull=False)
            ),
            # Else who looks for runs to stop would read all that wait.
            models.Index(
                fields=["status"],
                name="run_stop_requested",
                condition=models.Q(stop_requested_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """The first words of the message that began it."""
        return Truncator(" ".join(self.text.split())).chars(TITLE) or gettext("(without a message)")

    @property
    def root(self) -> "Run":
        """The run that a message has begun: this one, or of a child its top-level ancestor."""
        return self if self.parent is None else self.parent.root
