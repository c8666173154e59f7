"""Files that go with a message: uploaded by both doors, given to the workflow, served to nobody
else.
"""

import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from sessions_app import runs
from sessions_app.conversations import listing
from sessions_app.errors import Invalid
from sessions_app.models import Attachment, Run
from sessions_app.storage import attachments, reads
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.page.plain_page import content_of, export, follow, page, press
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, django_user, make_user

pytestmark = pytest.mark.django_db(transaction=True)
# It would run, were it opened as a page of this site.
PAGE = b"<script>document.title = 'owned'</script>"


@workflow(name="t_files", title="Takes files", takes_files=True)
async def takes(message: Message, context: Context) -> AsyncGenerator[str, None]:
    for one in message.files:
        yield f"{one.name}|{one.content_type}|{(await one.read()).decode()}\n"
    if message.text == "fail":
        raise ValueError
    if message.text == "ask":
        with context.files[0].open() as file:
            yield (await context.ask(TextPrompt(text=file.read().decode()))).text
    past = await context.history()
    yield "; ".join(file.name for one in past for file in one.files)


@workflow(name="t_no_files", title="Takes none")
async def takes_none(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield message.text


@pytest.fixture(autouse=True)
def _stored_here(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    async with Hosting("t_files", beside=("t_no_files",)) as hosting:
        yield hosting


@pytest.fixture
async def browser(hosting: Hosting) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(await User.objects.aget(pk=hosting.user))
    return client


def named_file(name: str, content: bytes = b"1,2") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


async def upload(
    client: AsyncClient, name: str = "a.csv", content: bytes = b"1,2", conversation: str = "c"
) -> tuple[int, Any]:
    path = reverse("chat:upload", args=[conversation])
    answer = await client.post(path, {"file": named_file(name, content)})
    return answer.status_code, json.loads(answer.content)


async def send(client: AsyncClient, conversation: str = "c", **fields: Any) -> Any:
    return await client.post(reverse("chat:send", args=[conversation]), fields)


async def fetch(client: AsyncClient, id_: Any, conversation: str = "c") -> Any:
    return await client.get(reverse("chat:file", args=[conversation, id_]))


async def newest(hosting: Hosting) -> Run:
    run = await Run.objects.order_by("-created_at").afirst()
    assert run is not None
    return await hosting.until_ended(run.pk)


async def test_the_form_sends_files_with_the_message_or_one_alone(
    browser: AsyncClient, hosting: Hosting
) -> None:
    files = [named_file("a.csv"), named_file("B.TXT", b"<b>")]
    assert (await send(browser, text="both", files=files)).status_code == 303
    run = await newest(hosting)
    assert await hosting.output(run.pk) == "a.csv|text/csv|1,2\nB.TXT|text/plain|<b>\n"
    assert (await page(browser)).count("/c/c/files/") == 3  # two links, and where to upload
    await send(browser, "alone", text="", files=[named_file("Receipt of May.csv")])
    title = '<h1 id="title" dir="auto">Receipt of May.csv</h1>'
    assert title in await page(browser, "alone")


async def test_the_script_uploads_first_and_names_them_in_the_message(
    browser: AsyncClient, hosting: Hosting
) -> None:
    status, uploaded_file = await upload(browser)
    assert (status, uploaded_file["name"], uploaded_file["size"]) == (201, "a.csv", 3)
    run = await hosting.until_ended(await hosting.submit("one", files=(uploaded_file["id"],)))
    assert await hosting.output(run.pk) == "a.csv|text/csv|1,2\n"
    # A file alone is a message too; what was sent before can be sent again.
    second_run = await hosting.until_ended(await hosting.submit("", files=(uploaded_file["id"],)))
    assert await hosting.output(second_run.pk) == "a.csv|text/csv|1,2\na.csv"
    assert await Attachment.objects.filter(run=run).acount() == 1
    [file] = json.loads(await export(browser, "c", "json"))["runs"][0]["files"]
    described = {"name": "a.csv", "content_type": "text/csv", "size": 3}
    assert file == described | {"id": uploaded_file["id"]}
    assert "- a.csv (3 bytes)" in await export(browser, "c", "md")


@pytest.mark.slow
async def test_a_replay_and_a_fork_read_the_same_file(
    browser: AsyncClient, hosting: Hosting
) -> None:
    _, uploaded_file = await upload(browser, content=b"How many?")
    run, prompt = await hosting.submit_until_prompt("ask", files=(uploaded_file["id"],))
    await hosting.crash()
    await hosting.answer(" ten ", prompt)
    await hosting.until_ended(run)
    assert await hosting.output(run) == "a.csv|text/csv|How many?\n ten "
    fork = await runs.afork(run, position=1, by=django_user("admin"))
    [fork_prompt] = await hosting.prompts(fork)
    assert fork_prompt.prompt["text"] == "How many?"
    events = [event for event in await hosting.events() if event.type == "user_message"]
    assert [event.payload["files"][0]["name"] for event in events] == ["a.csv", "a.csv"]
    assert "path" not in events[0].payload["files"][0]


async def test_a_refused_file_is_explained_and_not_stored(
    browser: AsyncClient, settings: Any
) -> None:
    set_hitl(settings, MAX_FILE_MB=0.001)
    for name, content, expected_error in (
        ("page.html", PAGE, ".html files are not allowed. Allowed: png,"),
        ("picture.svg", PAGE, ".svg files are not allowed."),
        ("noending", b"x", "noending has no ending that says its type."),
        (".csv", b"x", ".csv has no ending that says its type."),
        ("a.csv.exe", b"x", ".exe files are not allowed."),
        ("a.csv", b"", "a.csv is empty. Choose another file."),
        ("a.csv", b"x" * 1100, "a.csv has 0.0 MB; at most 0.001 are allowed. Make it smaller"),
    ):
        status, answer = await upload(browser, name, content)
        assert (status, answer["error"][: len(expected_error)]) == (422, expected_error)
        assert (await send(browser, text="x", files=[named_file(name, content)])).status_code == 422
    assert not await Attachment.objects.aexists()
    assert not await Run.objects.aexists()


async def test_a_hostile_name_is_only_a_name(browser: AsyncClient, hosting: Hosting) -> None:
    ids = []
    for name, kept_as in (
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\ann\\a.csv", "a.csv"),
        ("\u202egpj.csv", "gpj.csv"),
        ("日本 ü.csv", "日本 ü.csv"),
        ("x" * 300 + ".csv", "x" * 116 + ".csv"),
        ("a'; filename=x.html;.csv", "a'; filename=x.html;.csv"),
    ):
        status, uploaded_file = await upload(browser, name, PAGE)
        assert (status, uploaded_file["name"]) == (201, kept_as)
        row = await Attachment.objects.aget(pk=uploaded_file["id"])
        assert row.path == f"attachments/{row.id.hex[:2]}/{row.id.hex}"
        ids.append(uploaded_file["id"])
    await hosting.until_ended(await hosting.submit("x", files=tuple(ids)))
    for id_ in ids:
        await assert_harmless(await fetch(browser, id_))
    assert PAGE.decode() not in await page(browser)


@pytest.mark.parametrize(
    ("accept", "words"),
    [
        ("application/json", "a name of at most 255 characters"),
        ("text/html", "This request cannot be read"),
    ],
)
async def test_form_that_django_refuses_to_read_is_explained(
    browser: AsyncClient, accept: str, words: str
) -> None:
    part = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{"x" * 5000}.csv"'
    answer = await browser.post(
        reverse("chat:upload", args=["c"]),
        f"{part}\r\n\r\n1,2\r\n--b--\r\n".encode(),
        content_type="multipart/form-data; boundary=b",
        headers={"accept": accept},
    )
    assert (answer.status_code, words in answer.content.decode()) == (400, True)


async def assert_harmless(answer: Any) -> None:
    """Check that the file is as it was sent, and would run nothing were it shown."""
    assert (answer.status_code, await content_of(answer)) == (200, PAGE)
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "script-src" not in answer["Content-Security-Policy"]
    assert answer["Content-Length"] == str(len(PAGE))
    assert answer["Content-Type"].startswith(("text/csv", "text/plain"))
    assert "no-store" in answer["Cache-Control"]


async def test_nobody_reads_or_sends_what_is_anothers(
    browser: AsyncClient, hosting: Hosting
) -> None:
    _, sent_file = await upload(browser)
    await hosting.until_ended(await hosting.submit("x", files=(sent_file["id"],)))
    _, unsent = await upload(browser)
    ben = AsyncClient()
    await ben.aforce_login(await User.objects.acreate(username="ben", is_superuser=True))
    for file_id in (sent_file["id"], unsent["id"], str(uuid4()), "no-id", "x" * 300, "\0"):
        answer = await send(ben, text="x", file_ids=[file_id])
        assert answer.status_code == 422
        assert "A file is no longer available." in answer.content.decode()
        assert "a.csv" not in answer.content.decode()
    for file_id in (sent_file["id"], unsent["id"]):
        assert (await fetch(ben, file_id)).status_code == 404
        # Nor does the owner by another conversation.
        assert (await fetch(browser, file_id, "d")).status_code == 404
        assert (await send(browser, "d", text="x", file_ids=[file_id])).status_code == 422
    assert (await fetch(browser, unsent["id"])).status_code == 404  # before it is sent
    assert await Run.objects.acount() == 1


async def test_a_file_is_away_while_its_conversation_is_deleted(
    browser: AsyncClient, hosting: Hosting
) -> None:
    _, sent_file = await upload(browser)
    await hosting.until_ended(await hosting.submit("x", files=(sent_file["id"],)))
    await listing.delete(owner=hosting.user, conversation_id="c")
    assert (await fetch(browser, sent_file["id"])).status_code == 404
    await listing.restore(owner=hosting.user, conversation_id="c")
    assert (await fetch(browser, sent_file["id"])).status_code == 200


async def test_accepted_files_of_a_refused_form_are_kept(
    browser: AsyncClient, hosting: Hosting
) -> None:
    html = await page(browser, "new")
    files = [named_file("a.csv"), named_file("b.exe")]
    html = await press(browser, html, "Send", text="words", workflow="t_files", files=files)
    assert ".exe files are not allowed." in html
    assert ">words</textarea>" in html
    html = await press(browser, html, "Send", workflow="t_files")
    run = await newest(hosting)
    assert await hosting.output(run.pk) == "a.csv|text/csv|1,2\n"
    assert "Its files are sent again." in await follow(browser, html, "Edit")


async def test_a_workflow_without_files_refuses_them_with_the_reason(
    browser: AsyncClient, hosting: Hosting
) -> None:
    answer = await send(browser, text="x", workflow="t_no_files", files=[named_file("a.csv")])
    assert answer.status_code == 422
    assert "This workflow can’t read files." in answer.content.decode()
    await send(browser, text="x", workflow="t_no_files")
    await newest(hosting)
    assert 'type="file"' not in await page(browser)
    assert 'type="file"' in await page(browser, "another")


@pytest.mark.parametrize(
    ("most", "files", "unsent"),
    [(1, "1 file.", "1 uploaded file that is"), (2, "2 files.", "2 uploaded files that are")],
)
async def test_too_many_files_are_refused(
    browser: AsyncClient,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    files: str,
    unsent: str,
) -> None:
    set_hitl(settings, MAX_FILES=most)
    ids = [(await upload(browser))[1]["id"] for _ in range(most + 1)]
    answer = await send(browser, text="x", file_ids=ids)
    assert f"A message can have at most {files} Send" in answer.content.decode()
    monkeypatch.setattr(attachments, "MOST_UNSENT", most)
    status, body = await upload(browser)
    assert (status, body["error"].startswith(f"You have {unsent} not sent. Send")) == (422, True)
    set_hitl(settings, MAX_FILES=0)
    assert (await upload(browser))[1]["error"] == "Files are not allowed here."


async def test_an_upload_beyond_the_users_quota_is_refused(
    browser: AsyncClient, settings: Any
) -> None:
    set_hitl(settings, FILES_MB_PER_USER=1.5)
    content = b"x" * (1024 * 1024)
    assert (await upload(browser, content=content))[0] == 201
    status, body = await upload(browser, content=content)
    assert (status, body["error"][:33]) == (422, "Your files use 1.0 MB of 1.5 MB. ")
    await browser.aforce_login(await reads.read(make_user, "eve"))
    assert (await upload(browser, content=content))[0] == 201


@pytest.mark.cluster_only("one process writes one after the other")
def test_uploads_to_several_processes_count_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MOST_UNSENT", 1)
    ann = make_user("ann")
    second_is_done = threading.Event()

    def begin(then: Callable[[], object]) -> str:
        file = {"name": "a.csv", "size": 1, "created_at": timezone.now()}
        row = Attachment(owner=ann, conversation_name="c", **file)
        try:
            with transaction.atomic():
                attachments._begin(Transaction(), row)
                then()
        except Invalid as refused:
            return str(refused)
        finally:
            connection.close()
        return "kept"

    with ThreadPoolExecutor() as threads:
        began = threading.Event()

        def hold() -> None:
            began.set()
            second_is_done.wait(0.5)

        first = threads.submit(begin, hold)
        began.wait(10)
        second = threads.submit(begin, lambda: None)
        second.add_done_callback(lambda _: second_is_done.set())
        assert first.result() == "kept"
        assert "uploaded file that is not sent" in second.result()


async def test_an_upload_that_cannot_be_stored_is_explained(
    browser: AsyncClient, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise RuntimeError("access denied")  # S3's are no OSErrors

    monkeypatch.setattr(attachments, "MOST_UNSENT", 1)
    (tmp_path / "attachments").write_text("in the way")
    refusals = [await upload(browser)]
    settings.MEDIA_ROOT = tmp_path / "other"
    with monkeypatch.context() as patch:
        patch.setattr(storages["default"], "save", refuse)
        refusals.append(await upload(browser))
    problem = (503, "The file could not be stored. Send it again.")
    assert [(status, body["error"]) for status, body in refusals] == [problem] * 2
    assert not await Attachment.objects.filter(is_stored=True).aexists()
    assert (await upload(browser))[0] == 201


async def test_another_version_of_a_message_keeps_its_files(
    browser: AsyncClient, hosting: Hosting
) -> None:
    _, uploaded_file = await upload(browser)
    failed = await hosting.submit("fail", files=(uploaded_file["id"],))
    await hosting.until_ended(failed)
    await send(browser, text="", replaces=str(failed))  # tried again
    new_run = await newest(hosting)
    assert await hosting.output(new_run.pk) == "a.csv|text/csv|1,2\n"
    await send(browser, text="edited", replaces=str(new_run.pk), files=[named_file("b.csv", b"3")])
    edited = await newest(hosting)
    assert await hosting.output(edited.pk) == "a.csv|text/csv|1,2\nb.csv|text/csv|3\n"
    assert (await fetch(browser, uploaded_file["id"])).status_code == 200
