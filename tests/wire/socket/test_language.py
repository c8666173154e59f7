"""The language of what a socket refuses: that of its page, and nothing else is in it."""

from collections.abc import AsyncGenerator

import pytest
from django.utils import translation

from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, workflow
from tests.support.hosting import Hosting, make_user
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)
GERMAN = {"accept-language": "de"}


@workflow(name="t_language", title="Language")
async def language(_: Message, context: Context) -> AsyncGenerator[str, None]:
    yield translation.get_language()


async def test_a_page_is_refused_in_its_language() -> None:
    async with Hosting("t_language"):
        ann = await reads.read(make_user, "ann")
        async with (
            LocalSocket(ann, headers=GERMAN, conversation_id="c") as page,
            LocalSocket(
                ann, headers={"cookie": "django_language=ja"}, conversation_id="d"
            ) as japanese_page,
            LocalSocket(ann, headers=GERMAN, extended=None, conversation_id="e") as plain,
        ):
            for socket, expected_text in (
                (page, "Die Nachricht ist leer."),
                (japanese_page, "メッセージが空です。"),
                (plain, "The message is empty."),
            ):
                await socket.say(" ", id="m")
                error = await socket.until("error_message")
                assert error["content"]["message"].startswith(expected_text)


@pytest.mark.slow
async def test_a_workflow_speaks_the_language_of_the_site() -> None:
    """A run is executed again by others, after a restart: what it says depends on no browser."""
    async with Hosting("t_language"):
        ann = await reads.read(make_user, "ann")
        async with LocalSocket(ann, headers=GERMAN, conversation_id="c") as page:
            for name in ("m1", "m2"):  # the second one is taken up in memory
                await page.say("hello", id=name)
                text = await page.until("system_response_message")
                assert text["content"]["text"] == "en"
                await page.until(lambda frame: frame.get("status") == "complete")
