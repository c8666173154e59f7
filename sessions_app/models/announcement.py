"""An announcement: news for the process that hosts, from one beside it."""

from django.db import models


class Announcement(models.Model):
    """A note of work, left by commands and the like where one process hosts. The process that hosts
    reads and deletes it within a second.
    """

    # What wakes a host: see `notify.host_messages`.
    message = models.JSONField()

    def __str__(self) -> str:
        return str(self.message["key"])
