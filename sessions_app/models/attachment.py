"""An attachment: a file that a person sent with a message."""

import asyncio
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import storages
from django.db import models
from django.utils.translation import pgettext_lazy

from sessions_app.models.run import Run


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that came with a message; immutable, so each replay reads the same content.

    `content_type` is derived from the name's ending; the content is not inspected.
    """

    id: str
    name: str
    content_type: str
    size: int
    path: str

    def open(self) -> "File[bytes]":
        """Open the file for reading bytes. Blocks, so call it from plain functions in a thread."""
        return storages["default"].open(self.path)

    async def read(self) -> bytes:
        """Read the whole file."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        with self.open() as file:
            content: bytes = file.read()
        return content


def attached_files(metadata: dict[str, Any]) -> tuple[AttachedFile, ...]:
    """Return the files of the message that began a run, from the run's metadata."""
    return tuple(AttachedFile(**file) for file in metadata.get("files", ()))


class Attachment(models.Model):
    """An uploaded file; the row is inserted before the file is written, and outlives the file.

    Deleting the run leaves the row with `run` empty, which marks the file for deletion.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=pgettext_lazy("hitl", "owner"),
    )
    # The client's id of a conversation, which has no row before its first message.
    conversation_name = models.CharField(
        max_length=200, verbose_name=pgettext_lazy("hitl", "conversation")
    )
    name = models.CharField(max_length=200, verbose_name=pgettext_lazy("hitl", "name"))
    content_type = models.CharField(max_length=100, verbose_name=pgettext_lazy("hitl", "type"))
    size = models.PositiveBigIntegerField()
    # Path of the file in the storage.
    path = models.CharField(max_length=300, verbose_name=pgettext_lazy("hitl", "path"))
    is_stored = models.BooleanField(default=False, verbose_name=pgettext_lazy("hitl", "stored"))
    # The first run that the file was sent with; None before that, and once the run is deleted.
    run = models.ForeignKey(
        Run,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="attachments",
        verbose_name=pgettext_lazy("hitl", "run"),
    )
    created_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "uploaded"))
    # Time when the file was sent or marked for deletion; from then on, no message can take it.
    taken_at = models.DateTimeField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "sent")
    )

    class Meta:
        verbose_name = pgettext_lazy("hitl", "attachment")
        verbose_name_plural = pgettext_lazy("hitl", "attachments")

    def __str__(self) -> str:
        return self.name

    @property
    def file(self) -> AttachedFile:
        """The file in the form that workflows get."""
        return AttachedFile(str(self.id), self.name, self.content_type, self.size, self.path)

    @property
    def stored(self) -> dict[str, Any]:
        """The file in the form of a run's metadata."""
        return asdict(self.file)
