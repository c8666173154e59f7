"""A journal entry: one thing that a run has done, by position."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.run import Run


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
    # Its number in its track, where the run has gathered coroutines; see `workflows.calls.tracks`.
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
