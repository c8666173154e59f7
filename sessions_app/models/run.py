"""A run: an execution of a workflow for a message; its journal, what it was sent, its feedback."""

import uuid

from django.db import models
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.models.conversation import Conversation
from sessions_app.models.ordered_json import OrderedJSONField

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


class JournalEntry(models.Model):
    """A recorded call, which replay reads so that it repeats nothing. A question is an
    interaction.
    """

    class Kind(models.TextChoices):
        STEP = "step", _("step")
        STREAM = "stream", _("streamed step")
        SLEEP = "sleep", _("pause")
        NOW = "now", _("time of day")
        RANDOM = "random", _("random number")
        SHOW = "show", _("shown step")
        USAGE = "usage", _("use of a model")
        HISTORY = "history", _("earlier messages")
        WAIT = "wait", _("wait for another system")
        RUN = "run", _("child run")
        GATHER = "gather", _("calls side by side")

    # No index of its own: the unique constraint's begins with it.
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="journal", db_index=False, verbose_name=_("run")
    )
    position = models.PositiveIntegerField(verbose_name=_("position"))
    # Its number in its track, where the run has gathered coroutines; see `journal.tracks`.
    place = models.CharField(max_length=40, blank=True, db_default="")
    kind = models.CharField(max_length=10, choices=Kind.choices, verbose_name=_("kind"))
    # What was called: replay compares kind and name.
    name = models.CharField(max_length=200, verbose_name=_("name"))
    # The beginning of what it was called with, as JSON; and in what a later replay called it
    # with something else, which ends nothing.
    arguments = models.TextField(blank=True)
    difference = models.TextField(blank=True, db_default="", verbose_name=_("difference"))
    result = OrderedJSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # Of a failure: the last position in its track when it came up. A resumed run does it again,
    # unless it made calls after it.
    last_position = models.PositiveIntegerField(null=True, blank=True)
    # How often the execution that ended called the step's function: more than once by `retry=`.
    attempts = models.PositiveSmallIntegerField(default=1, db_default=1, verbose_name=_("attempts"))
    # The conversation's last sequence when this was recorded. Text of the run after the last
    # finished entry's sequence is what a crash may have cut.
    sequence = models.BigIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")
        constraints = (
            models.UniqueConstraint(fields=["run", "position"], name="journal_unique_position"),
        )

    def __str__(self) -> str:
        return f"{self.position} {self.kind} {self.name}"


class Arrival(models.Model):
    """Something that was sent to a run, which takes arrivals of a name in order, each once."""

    # No index of its own: the unique constraint's begins with it.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="arrivals", db_index=False)
    # The sender's id of it: what is sent again under it comes once.
    sent_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    payload = OrderedJSONField(null=True)
    # Of the journal entry that has it; until the run takes it, there is none.
    position = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "sent_id"], name="arrival_unique_id"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.sent_id})"


class Feedback(models.Model):
    """A reaction, a comment, or both; what is taken back has no row."""

    run = models.OneToOneField(
        Run, on_delete=models.CASCADE, primary_key=True, related_name="feedback"
    )
    # Of the page 👍 or 👎; other clients may have others.
    reaction = models.CharField(max_length=20, blank=True, verbose_name=_("reaction"))
    comment = models.CharField(max_length=1024, blank=True, verbose_name=_("comment"))
    given_at = models.DateTimeField(verbose_name=_("given"))

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")

    def __str__(self) -> str:
        return " ".join(part for part in (self.reaction, self.comment) if part)
