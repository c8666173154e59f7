"""Files that people attach to messages: stored before the message is sent, found, and deleted.

The row is written before the file, and deleted after the file. So a crash leaves a row that names
the file's path, and `delete_unwanted` finds that row.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from uuid import UUID, uuid4

from django.core.files.base import File
from django.core.files.storage import storages
from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import npgettext_lazy, pgettext_lazy

from sessions_app.errors import Invalid, StorageUnavailable
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import AttachedFile, Attachment
from sessions_app.models.people import UserId, users
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql
from sessions_app.storage.storable import check_storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

MB = 1024 * 1024
LONGEST_NAME = 120
# Maximum number of files that one person may have uploaded but not yet sent.
MOST_UNSENT = 50
# Time for which an unsent file is kept.
UNSENT_KEPT = timedelta(days=1)
FILES_AT_ONCE = 100
UNSENT = Q(run=None, taken_at=None)
FOLDER = "attachments"
GONE = pgettext_lazy("hitl", "A file is no longer available. Remove it, or attach it again.")
OFFICE = "application/vnd.openxmlformats-officedocument."
# Media types by file extension that some versions of Python do not know.
TYPES = {
    "docx": f"{OFFICE}wordprocessingml.document",
    "heic": "image/heic",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "pptx": f"{OFFICE}presentationml.presentation",
    "webp": "image/webp",
    "xlsx": f"{OFFICE}spreadsheetml.sheet",
}


async def keep(*, owner: UserId, conversation_id: str, file: "File[bytes]") -> Attachment:
    """Store an uploaded file, which a later message of the conversation may name.

    Raises:
        Invalid: the file is empty, too large or of a refused type; or the owner has too many unsent
            files, or no space left.
        StorageUnavailable: the file could not be written.
    """
    check_storable("conversation_id", conversation_id)
    name = _clean(file.name or "")
    _check(name, file.size)
    id_ = uuid4()
    row = Attachment(
        id=id_,
        owner_id=owner,
        conversation_name=conversation_id,
        name=name,
        content_type=content_type(_file_extension(name)),
        size=file.size,
        path=f"{FOLDER}/{id_.hex[:2]}/{id_.hex}",
        created_at=timezone.now(),
    )
    await writer.write(lambda tx: _begin(tx, row))
    try:
        path = await asyncio.to_thread(storages["default"].save, row.path, file)
    except Exception as error:  # storage backends raise exceptions of any class
        log.exception("attachment.not_written", attachment=str(id_))
        await writer.write(lambda tx: _mark_unwritten(tx, row))
        raise StorageUnavailable(
            pgettext_lazy("hitl", "The file could not be stored. Send it again.")
        ) from error
    await writer.write(lambda tx: _complete(tx, row, path))
    return row


def content_type(extension: str) -> str:
    """Return the media type of files with this extension."""
    return (
        TYPES.get(extension) or _types.guess_type(f"x.{extension}")[0] or "application/octet-stream"
    )


def find(owner: UserId, conversation_id: str, ids: Sequence[str]) -> list[Attachment]:
    """Find the files that a message names, in the order of the ids. Reads the database.

    Each file is an unsent file of the message's conversation, or was sent there before.

    Raises:
        Invalid: a file is missing, or the files are too many.
    """
    limit = RuntimeSettings.load().MAX_FILES
    unique_ids = list(dict.fromkeys(ids))
    if len(unique_ids) > limit:
        raise Invalid(
            format_lazy(
                npgettext_lazy(
                    "hitl",
                    "A message can have at most {most} file. Send the others with another message.",
                    "A message can have at most {most} files. Send the others with another "
                    "message.",
                    limit,
                ),
                most=limit,
            ),
            max_files=limit,
        )
    files = Attachment.objects.filter(
        UNSENT | Q(run__isnull=False),
        owner_id=owner,
        conversation_name=conversation_id,
        is_stored=True,
    )
    rows = files.filter(pk__in=[id_ for id_ in unique_ids if sql.is_uuid(id_)])
    rows_by_id = {str(row.id): row for row in rows}
    if rows_by_id.keys() != set(unique_ids):
        raise Invalid(GONE)
    return [rows_by_id[id_] for id_ in unique_ids]


def find_unsent(owner: UserId, conversation_id: str, ids: Sequence[str]) -> list[Attachment]:
    """Find those of the given files that are stored but not sent. Reads the database."""
    files = Attachment.objects.filter(
        UNSENT, owner_id=owner, conversation_name=conversation_id, is_stored=True
    )
    return list(
        files.filter(pk__in=[id_ for id_ in ids if sql.is_uuid(id_)]).order_by("created_at")
    )


def find_sent(owner: UserId, conversation_id: str, file: UUID) -> AttachedFile | None:
    """Find a file of the owner's conversation. Reads the database."""
    files = Attachment.objects.filter(
        run__conversation__owner_id=owner,
        run__conversation__conversation_id=conversation_id,
        run__conversation__deleted_at=None,
    )
    row = files.filter(pk=file).first()
    return row.file if row is not None else None


def mark_sent(tx: Transaction, run: UUID, files: Sequence[Attachment]) -> None:
    """Mark the files as sent: files that were unsent belong to this run from now on.

    Raises:
        Invalid: a file was deleted meanwhile.
    """
    if not files:
        return
    new = [file.pk for file in files if file.run_id is None]
    rows = Attachment.objects.filter(UNSENT, pk__in=new)
    if rows.update(run_id=run, taken_at=tx.now) < len(new):
        raise Invalid(GONE)


def shown_file(stored: JsonObject) -> JsonObject:
    """Return the data of a file for an event: everything but the path."""
    return {name: value for name, value in stored.items() if name != "path"}


async def delete_unwanted() -> int:
    """Delete the files whose runs are gone, and unsent files; return the number of files.

    A file that cannot be deleted is skipped; the deletion ends if a whole batch fails.
    """
    count, stuck = 0, set[UUID]()
    while rows := await writer.write(partial(_lock_unwanted, excluded=frozenset(stuck))):
        for id_, path in rows:
            try:
                await asyncio.to_thread(storages["default"].delete, path)
            except Exception:  # a backend may raise any class; the kept row allows a retry
                log.exception("attachment.not_deleted", path=path)
                stuck.add(id_)
        deleted = await writer.write(
            partial(_forget, ids=[id_ for id_, _path in rows if id_ not in stuck])
        )
        if not deleted:
            break
        count += deleted
    return count


_types = MimeTypes()


def _file_extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower().removeprefix(".")


def _clean(name: str) -> str:
    """Return the file name of a path without invisible characters; shorten a long name."""
    name = PurePosixPath(name.replace("\\", "/")).name
    visible = "".join(character for character in name if character.isprintable())
    base_name = " ".join(visible.split()) or "file"
    path = PurePosixPath(base_name)
    return path.stem[: LONGEST_NAME - len(path.suffix)] + path.suffix[:LONGEST_NAME]


def _check(name: str, size: int) -> None:
    limits = RuntimeSettings.load()
    if not limits.MAX_FILES:
        raise Invalid(pgettext_lazy("hitl", "Files are not allowed here."))
    ending = _file_extension(name)
    if ending not in limits.FILE_TYPES:
        files = pgettext_lazy("hitl", ".{ending} files are not allowed. Allowed: {types}.")
        unnamed = pgettext_lazy(
            "hitl", "{name} has no ending that says its type. Allowed: {types}."
        )
        raise Invalid(
            format_lazy(
                files if ending else unnamed,
                ending=ending,
                name=name,
                types=", ".join(limits.FILE_TYPES),
            ),
            file_types=limits.FILE_TYPES,
        )
    if not size:
        raise Invalid(
            format_lazy(pgettext_lazy("hitl", "{name} is empty. Choose another file."), name=name)
        )
    if size > limits.MAX_FILE_MB * MB:
        raise Invalid(
            format_lazy(
                pgettext_lazy(
                    "hitl",
                    "{name} has {size} MB; at most {most} are allowed. Make it smaller, or "
                    "send part of it.",
                ),
                name=name,
                size=f"{size / MB:.1f}",
                most=f"{limits.MAX_FILE_MB:g}",
            ),
            max_file_mb=limits.MAX_FILE_MB,
        )


def _begin(tx: Transaction, row: Attachment) -> None:
    # Lock the owner's row, so that several processes count the unsent files one after the other.
    users().select_for_update(no_key=True).get(pk=row.owner_id)
    unsent = Attachment.objects.filter(UNSENT, owner_id=row.owner_id)
    if unsent.count() >= MOST_UNSENT:
        raise Invalid(
            format_lazy(
                npgettext_lazy(
                    "hitl",
                    "You have {count} uploaded file that is not sent. Send it, or try again "
                    "tomorrow.",
                    "You have {count} uploaded files that are not sent. Send some of them, or "
                    "try again tomorrow.",
                    MOST_UNSENT,
                ),
                count=MOST_UNSENT,
            )
        )
    _check_quota(row)
    row.save(force_insert=True)


def _check_quota(row: Attachment) -> None:
    """Refuse a file that exceeds the owner's quota."""
    limit = RuntimeSettings.load().FILES_MB_PER_USER
    files = Attachment.objects.filter(owner_id=row.owner_id)
    used_bytes = files.aggregate(size=Sum("size"))["size"]
    if limit and (used_bytes or 0) + row.size > limit * MB:
        raise Invalid(
            format_lazy(
                pgettext_lazy(
                    "hitl",
                    "Your files use {size} MB of {most} MB. Delete conversations with files: "
                    "the space is free again a day later.",
                ),
                size=f"{(used_bytes or 0) / MB:.1f}",
                most=f"{limit:g}",
            ),
            files_mb_per_user=limit,
        )


def _complete(tx: Transaction, row: Attachment, path: str) -> None:
    Attachment.objects.filter(pk=row.pk).update(is_stored=True, path=path)


def _mark_unwritten(tx: Transaction, row: Attachment) -> None:
    """Mark the row of a file that could not be written; the next clean-up deletes both."""
    Attachment.objects.filter(pk=row.pk).update(taken_at=tx.now)


def _lock_unwanted(tx: Transaction, excluded: Collection[UUID] = ()) -> list[tuple[UUID, str]]:
    """Lock some unwanted files and mark them as taken; from now on no message can name them."""
    is_old = Q(taken_at__isnull=False) | Q(created_at__lt=tx.now - UNSENT_KEPT)
    files = Attachment.objects.select_for_update().filter(is_old, run=None)
    files = files.exclude(pk__in=excluded)
    rows = list(files.values_list("pk", "path")[:FILES_AT_ONCE])
    Attachment.objects.filter(pk__in=[pk for pk, _path in rows]).update(taken_at=tx.now)
    return rows


def _forget(tx: Transaction, ids: list[UUID]) -> int:
    return Attachment.objects.filter(pk__in=ids).delete()[0]
