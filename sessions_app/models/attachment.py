"""An attachment: a file that a person gave with a message."""

import asyncio
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import storages
from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.run import Run


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that came with a message. It never changes, so each replay reads the same.

    `content_type` follows from the name's ending; nobody has looked into the file.
    """

    id: str
    name: str
    content_type: str
    size: int
    path: str

    def open(self) -> "File[bytes]":
        """Open the file, to be read as bytes. Blocks: for plain functions, which run in a
        thread.
        """
        return storages["default"].open(self.path)

    async def read(self) -> bytes:
        """Read the whole file."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        with self.open() as file:
            content: bytes = file.read()
        return content


def attached_files(metadata: dict[str, Any]) -> tuple[AttachedFile, ...]:
    """Return the files of the message that began a run, as the run's metadata has them."""
    return tuple(AttachedFile(**file) for file in metadata.get("files", ()))


class Attachment(models.Model):
    """A file that a person has attached, from before it is written until after it is deleted.

    Whatever deletes the run leaves the row, without a run: then the file is to be deleted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    # The client's name for it: before its first message a conversation has no row.
    conversation_name = models.CharField(max_length=200, verbose_name=_("conversation"))
    name = models.CharField(max_length=200, verbose_name=_("name"))
    content_type = models.CharField(max_length=100, verbose_name=_("type"))
    size = models.PositiveBigIntegerField()
    # Where the storage has it.
    path = models.CharField(max_length=300, verbose_name=_("path"))
    is_stored = models.BooleanField(default=False, verbose_name=_("stored"))
    # The first run whose message it came with; None before that, and once the run is deleted.
    run = models.ForeignKey(
        Run,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="attachments",
        verbose_name=_("run"),
    )
    created_at = models.DateTimeField(verbose_name=_("uploaded"))
    # Since when it can be sent no more: it was sent, or is to be deleted.
    taken_at = models.DateTimeField(null=True, blank=True, verbose_name=_("sent"))

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")

    def __str__(self) -> str:
        return self.name

    @property
    def file(self) -> AttachedFile:
        """The file as workflows get it."""
        return AttachedFile(str(self.id), self.name, self.content_type, self.size, self.path)

    @property
    def stored(self) -> dict[str, Any]:
        """The file as a run's metadata has it."""
        return asdict(self.file)
