"""Tests of the retention of files: as long as their conversation, and no longer."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from sessions_app.errors import Invalid, StorageUnavailable
from sessions_app.lifecycle import retention
from sessions_app.models import Attachment, Conversation
from sessions_app.storage import attachments, reads
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, workflow
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(Exception):
    """The error that stands for the death of the process."""


@workflow(name="t_kept", title="Takes files", takes_files=True)
async def takes(message: Message, context: Context) -> str:
    return f"{len(context.files)}"


DAYS_AGO = timezone.now() - timedelta(days=40)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    """Return the folder of the files."""
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.rglob("*") if path.is_file())


async def kept(owner: Any, content: str) -> Attachment:
    file = ContentFile(content.encode(), "a.txt")
    return await attachments.keep(owner=owner, conversation_id="c", file=file)


async def sent(hosting: Hosting, content: str, conversation: str) -> None:
    run = await hosting.send("files", conversation=conversation, files={"a.txt": content.encode()})
    await run.result()


async def test_files_go_with_their_conversation(folder: Path, settings: Any) -> None:
    set_hitl(settings, KEEP_DAYS=30)
    async with Hosting("t_kept") as hosting:
        await sent(hosting, "old", "old")
        await sent(hosting, "young", "young")
        await kept(hosting.user, "unsent")
        old = Conversation.objects.filter(conversation_id="old")
        await reads.read(lambda: old.update(updated_at=DAYS_AGO))
        assert await retention.clean() == 2  # the conversation and its file
        assert files(folder) == ["unsent", "young"]
        assert await reads.read(Attachment.objects.count) == 2
        # Rows may also be deleted by other code: the next cleaning then removes the file.
        await reads.read(lambda: User.objects.get(pk=hosting.user).delete())
        assert files(folder) == ["unsent", "young"]
        await retention.clean()
        assert files(folder) == ["unsent"]
        await reads.read(lambda: Attachment.objects.update(created_at=DAYS_AGO))
        await retention.clean()
        assert files(folder) == []
        assert await reads.read(Attachment.objects.count) == 0


async def test_unsent_files_expire_after_a_day(folder: Path) -> None:
    async with Hosting("t_kept") as hosting:
        old = await kept(hosting.user, "old")
        young = await kept(hosting.user, "young")
        mine = Attachment.objects.filter(pk=old.pk)
        await reads.read(lambda: mine.update(created_at=DAYS_AGO))
        claimed = await writer.write(attachments._lock_unwanted)
        assert claimed == [(old.pk, old.path)]
        with pytest.raises(Invalid, match="no longer available"):
            await hosting.submit("files", files=(str(old.pk),))
        await retention.clean()
        assert files(folder) == ["young"]
        await hosting.until_ended(await hosting.submit("files", files=(str(young.pk),)))
        await reads.read(lambda: Attachment.objects.update(created_at=DAYS_AGO))
        await retention.clean()
        assert files(folder) == ["young"]


async def test_a_crash_leaves_no_file_without_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crash happens before the file exists, before its row is complete, or during deletion."""
    async with Hosting("t_kept") as hosting:

        def killed(*_: Any) -> None:
            raise Killed

        def refused(path: str) -> None:
            raise RuntimeError("access denied")  # S3's errors are not OSErrors

        for place, name in ((attachments, "_complete"), (storages["default"], "save")):
            with monkeypatch.context() as patch:
                patch.setattr(place, name, killed)
                with pytest.raises((Killed, StorageUnavailable)):
                    await kept(hosting.user, name)
        assert files(folder) == ["_complete"]
        for row in await reads.read(lambda: list(Attachment.objects.all())):
            with pytest.raises(Invalid):
                await hosting.submit("files", files=(str(row.pk),))
        await reads.read(lambda: Attachment.objects.update(created_at=DAYS_AGO))
        with monkeypatch.context() as patch:
            patch.setattr(storages["default"], "delete", refused)
            await retention.clean()
        assert files(folder) == ["_complete"]
        await retention.clean()
        assert files(folder) == []
        assert await reads.read(Attachment.objects.count) == 0


async def test_a_file_that_cannot_be_deleted_keeps_no_other(folder: Path) -> None:
    async with Hosting("t_kept") as hosting:
        rows = [await kept(hosting.user, name) for name in ("stuck", "b", "c")]
        stuck = folder / rows[0].path
        stuck.unlink()
        (stuck / "in the way").mkdir(parents=True)
        await Attachment.objects.aupdate(created_at=DAYS_AGO)
        await retention.clean()
        assert files(folder) == []
        assert await Attachment.objects.aget() == rows[0]
        (stuck / "in the way").rmdir()
        await retention.clean()
        assert not await Attachment.objects.aexists()
