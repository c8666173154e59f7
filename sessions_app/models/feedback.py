"""The feedback of a conversation's person on a run."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.run import Run


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
