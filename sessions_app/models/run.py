"""A run (an execution of a workflow for a message), its journal, arrivals and feedback."""

import uuid

from django.db import models
from django.utils.text import Truncator
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.models.conversation import Conversation
from sessions_app.models.ordered_json import OrderedJSONField

TITLE = 80


class Run(models.Model):
    """A run: its message, and the progress of its execution."""

    class Status(models.TextChoices):
        # A new or resumed run that waits for its turn to be executed.
        QUEUED = "queued", pgettext_lazy("hitl", "queued")
        # The run is being executed by a host, or has to be started by one.
        RUNNING = "running", pgettext_lazy("hitl", "running")
        # The run waits for a person, or for a durable sleep to end; it needs no host.
        WAITING = "waiting", pgettext_lazy("hitl", "waiting")
        # An error that an operator can fix has stopped the run, which can then be resumed.
        SUSPENDED = "suspended", pgettext_lazy("hitl", "suspended")
        COMPLETED = "completed", pgettext_lazy("hitl", "completed")
        FAILED = "failed", pgettext_lazy("hitl", "failed")
        CANCELLED = "cancelled", pgettext_lazy("hitl", "cancelled")

    UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.WAITING)
    STOPPABLE = (*UNFINISHED, Status.SUSPENDED)
    FINISHED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No separate index: the unique constraint begins with this column.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="runs", db_index=False
    )
    # The parent of a child run, and the journal position of the parent's call that began the child.
    parent = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
        verbose_name=pgettext_lazy("hitl", "run that began it"),
    )
    parent_position = models.PositiveIntegerField(null=True, blank=True)
    # For a run that another run began, as a child or in a step: the first run of this line, and the
    # number of runs before this one in the line. See `lineage`.
    origin = models.UUIDField(null=True, blank=True, editable=False)
    depth = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    # The host's key: a user for a workflow with a builder per user, else the conversation.
    key = models.CharField(max_length=200)
    # The executed workflow: the conversation's, or a child run's own.
    workflow = models.CharField(max_length=100, verbose_name=pgettext_lazy("hitl", "workflow"))
    # The conversation's last sequence when the run was created. Runs take turns in this order,
    # which does not depend on clocks.
    sequence = models.BigIntegerField(default=0)
    # The client's id of the user message, which makes a repeated message harmless.
    message_id = models.CharField(max_length=200)
    text = models.TextField()
    # The client's preferred format, defined by its front end; the runtime does not read it.
    client_format = models.CharField(max_length=20, blank=True)
    metadata = models.JSONField(default=dict)
    # The workflow version that began the run and will finish it; None before the start.
    version = models.PositiveIntegerField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "version")
    )
    # Code changes that apply to the run, by name, with the journal position of the first use.
    patches = models.JSONField(null=True, blank=True)
    # For a fork: the original run, and the first journal position that is executed anew.
    forked_from = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="forks",
        db_index=False,
    )
    fork_position = models.PositiveIntegerField(null=True, blank=True)
    # The run that this one continues, if that is not the run before it in the log. See `Branches`.
    follows = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="followers",
        db_index=False,
    )
    status = models.CharField(
        max_length=10,
        choices=Status.choices,
        default=Status.QUEUED,
        verbose_name=pgettext_lazy("hitl", "status"),
    )
    # Generation (number in the key's sequence of hosts) of the host that last executed the run.
    generation = models.BigIntegerField(default=0)
    # Number of starts of the run by a host since the run last waited or was released in good order.
    crashes = models.PositiveSmallIntegerField(default=0)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    # A `StopPoint`: the last call before the run was stopped. Later journal entries are clean-up.
    stop_point = models.JSONField(null=True, blank=True)
    # Earliest end of the run's current durable sleeps, at which the run is resumed.
    wake_at = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # The reason why a waiting run no longer fits the code, as a replay has found; else empty.
    replay_problem = models.TextField(
        blank=True, db_default="", verbose_name=pgettext_lazy("hitl", "replay problem")
    )
    created_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "began"))
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("hitl", "run")
        verbose_name_plural = pgettext_lazy("hitl", "runs")
        constraints = (
            models.UniqueConstraint(
                fields=["conversation", "message_id"], name="run_unique_message"
            ),
        )
        indexes = (
            models.Index(fields=["key", "status"], name="run_key_status"),
            models.Index(fields=["status", "created_at"], name="run_status_created"),
            # Index for the list of all runs, which would otherwise sort the whole table.
            models.Index(fields=["created_at"], name="run_created"),
            models.Index(
                fields=["wake_at"], name="run_wake_at", condition=models.Q(wake_at__isnull=False)
            ),
            # Index for the count of a user's unfinished runs, which would otherwise read all runs
            # of the user.
            models.Index(
                fields=["conversation"],
                name="run_unfinished",
                condition=models.Q(status__in=["queued", "running", "waiting"]),
            ),
            # Index for the deletion of a run, which would otherwise look for forks in all runs.
            models.Index(
                fields=["forked_from"],
                name="run_forked_from",
                condition=models.Q(forked_from__isnull=False),
            ),
            models.Index(
                fields=["follows"], name="run_follows", condition=models.Q(follows__isnull=False)
            ),
            # Index for the operators' overview, which would otherwise read all waiting runs.
            models.Index(
                fields=["status"],
                name="run_replay_problem",
                condition=~models.Q(replay_problem=""),
            ),
            # This index contains child runs only, which are few.
            models.Index(
                fields=["parent"], name="run_parent", condition=models.Q(parent__isnull=False)
            ),
            # Index for the search for children that must be stopped with their parents.
            models.Index(
                fields=["parent"],
                name="run_open_child",
                condition=models.Q(
                    parent__isnull=False,
                    stop_requested_at__isnull=True,
                    status__in=["queued", "running", "waiting", "suspended"],
                ),
            ),
            # Index for the search for a job by its id.
            models.Index(fields=["message_id"], name="run_message"),
            # Index for the count of the runs of a line.
            models.Index(
                fields=["origin"], name="run_origin", condition=models.Q(origin__isnull=False)
            ),
            # Index for the search for runs to stop, which would otherwise read all waiting runs.
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
        """The first words of the message that began the run."""
        return Truncator(" ".join(self.text.split())).chars(TITLE) or pgettext(
            "hitl", "(without a message)"
        )


class JournalEntry(models.Model):
    """A recorded call, read on replay and not repeated. Questions are rows of Interaction."""

    class Kind(models.TextChoices):
        STEP = "step", pgettext_lazy("hitl", "step")
        STREAM = "stream", pgettext_lazy("hitl", "streamed step")
        SLEEP = "sleep", pgettext_lazy("hitl", "pause")
        NOW = "now", pgettext_lazy("hitl", "time of day")
        RANDOM = "random", pgettext_lazy("hitl", "random number")
        SHOW = "show", pgettext_lazy("hitl", "shown step")
        USAGE = "usage", pgettext_lazy("hitl", "use of a model")
        HISTORY = "history", pgettext_lazy("hitl", "earlier messages")
        WAIT = "wait", pgettext_lazy("hitl", "wait for another system")
        RUN = "run", pgettext_lazy("hitl", "child run")
        GATHER = "gather", pgettext_lazy("hitl", "calls side by side")

    # No separate index: the unique constraint begins with this column.
    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        related_name="journal",
        db_index=False,
        verbose_name=pgettext_lazy("hitl", "run"),
    )
    position = models.PositiveIntegerField(verbose_name=pgettext_lazy("hitl", "position"))
    # Number of the call in its track (a gathered coroutine's sequence of calls), or empty.
    place = models.CharField(max_length=40, blank=True, db_default="")
    kind = models.CharField(
        max_length=10, choices=Kind.choices, verbose_name=pgettext_lazy("hitl", "kind")
    )
    # Name of the call, such as of a step's function. A replay compares kind and name.
    name = models.CharField(max_length=200, verbose_name=pgettext_lazy("hitl", "name"))
    # `arguments` is JSON, cut. `difference` tells how a later replay's arguments differed
    # (harmless).
    arguments = models.TextField(blank=True)
    difference = models.TextField(
        blank=True, db_default="", verbose_name=pgettext_lazy("hitl", "difference")
    )
    result = OrderedJSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # For a failed call: the last journal position of its track at that time. A resumed run repeats
    # the failed call unless the track made later calls.
    last_position = models.PositiveIntegerField(null=True, blank=True)
    # Calls of the step's function in the final execution: more than one with `retry=`.
    attempts = models.PositiveSmallIntegerField(
        default=1, db_default=1, verbose_name=pgettext_lazy("hitl", "attempts")
    )
    # Sequence number of the conversation's newest event when the call was recorded. After a crash,
    # text of the run after the last finished entry may be removed.
    sequence = models.BigIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("hitl", "journal entry")
        verbose_name_plural = pgettext_lazy("hitl", "journal entries")
        constraints = (
            models.UniqueConstraint(fields=["run", "position"], name="journal_unique_position"),
        )

    def __str__(self) -> str:
        return f"{self.position} {self.kind} {self.name}"


class Arrival(models.Model):
    """An arrival: data sent to a run, which takes arrivals of one name in order, each once."""

    # No separate index: the unique constraint begins with this column.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="arrivals", db_index=False)
    # The sender's id for the data; a repetition with this id is ignored.
    sent_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    payload = OrderedJSONField(null=True)
    # Position of the journal entry into which the run took the data; None until then.
    position = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "sent_id"], name="arrival_unique_id"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.sent_id})"


class Feedback(models.Model):
    """A reaction, a comment, or both; feedback that is taken back has no row."""

    run = models.OneToOneField(
        Run, on_delete=models.CASCADE, primary_key=True, related_name="feedback"
    )
    # The reaction: 👍 or 👎 on the page; other clients may use other values.
    reaction = models.CharField(
        max_length=20, blank=True, verbose_name=pgettext_lazy("hitl", "reaction")
    )
    comment = models.CharField(
        max_length=1024, blank=True, verbose_name=pgettext_lazy("hitl", "comment")
    )
    given_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "given"))

    class Meta:
        verbose_name = pgettext_lazy("hitl", "feedback")
        verbose_name_plural = pgettext_lazy("hitl", "feedback")

    def __str__(self) -> str:
        return " ".join(part for part in (self.reaction, self.comment) if part)
