"""The feedback of a conversation's person on a run."""

from django.db import models

from sessions_app.models.run import Run


class Feedback(models.Model):
    """A reaction, a comment, or both; what is taken back has no row."""

    run = models.OneToOneField(
        Run, on_delete=models.CASCADE, primary_key=True, related_name="feedback"
    )
    # Of the page 👍 or 👎; other clients may have others.
    reaction = models.CharField(max_length=20, blank=True)
    comment = models.CharField(max_length=1024, blank=True)
    given_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "feedback"

    def __str__(self) -> str:
        return " ".join(part for part in (self.reaction, self.comment) if part)
