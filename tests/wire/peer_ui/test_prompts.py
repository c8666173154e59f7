"""Prompts in the peer's web UI: it has controls for three types, and one place for all."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.http.client import CSRF, Http
from tests.support.peer_ui import PeerUi
from tests.support.server import Server
from tests.wire.peer_ui.conftest import NewTab


@pytest.mark.parametrize(
    ("type_", "shown_as", "answer_text", "expected_text"),
    [
        ("text", "text", "Ada", "Ada"),
        ("binary_choice", "binary_choice", "blue", "blue"),
        ("radio", "radio", "red", "red"),
        ("dropdown", "radio", "red", "red"),
        ("values", "radio", "3", "3"),
        ("checkbox", "text", "blue, RED", "red, blue"),
        ("checkbox", "text", "", ""),
        ("oauth_consent", "binary_choice", "done", "done"),
        ("oauth_consent", "binary_choice", "declined", "declined"),
        ("link", "binary_choice", "done", "done"),
        ("link", "binary_choice", "declined", "declined"),
    ],
)
async def test_each_type_can_be_answered(
    ui: PeerUi, type_: str, shown_as: str, answer_text: str, expected_text: str
) -> None:
    await ui.say(f'prompt(kind="{type_}")')
    assert await ui.until_asked() == shown_as
    await ui.answer(answer_text)
    assert await ui.until_ended() == expected_text
    assert ui.popups == ["https://login.example/authorize?state=s1"] * (type_ == "oauth_consent")


async def test_a_form_is_a_link_to_the_page(ui: PeerUi) -> None:
    await ui.say('prompt(kind="form")')
    assert await ui.until_asked("Fill in the form here: http") == "text"
    await ui.answer("tomorrow")
    assert await ui.until_asked("This is a form") == "text"
    await ui.answer('{"kind": "care", "start": "2026-11-23", "days": 1}')
    assert "'days': Decimal('1')" in await ui.until_ended()


async def test_a_proposal_is_approved_as_it_is(ui: PeerUi) -> None:
    await ui.say('prompt(kind="proposal")')
    assert await ui.until_asked("- Pieces: 200") == "radio"
    await ui.answer("approve")
    assert "pieces=200" in await ui.until_ended()


async def test_a_notification_goes_on_by_itself(ui: PeerUi, backend: Server) -> None:
    await ui.say('prompt(kind="notification")')
    assert await ui.until_ended() == "ok"
    assert ui.note == "Look."
    [row] = backend.rows(
        "SELECT status, answered_via FROM sessions_app_interaction"
        " WHERE response IS NOT NULL ORDER BY answered_at DESC LIMIT 1"
    )
    assert (row["status"], row["answered_via"]) == ("answered", "websocket")


async def test_an_answer_that_the_prompt_does_not_take_is_asked_for_again(ui: PeerUi) -> None:
    await ui.say('prompt(kind="checkbox")')
    await ui.until_asked("Red, Blue")
    await ui.answer("red, green")
    assert await ui.until_asked("'green' is not an option. Choose one of: red, blue.") == "text"
    await ui.answer("Blue")
    assert (await ui.until_ended()).endswith("blue")


async def test_several_prompts_come_one_at_a_time(ui: PeerUi) -> None:
    await ui.say("ask_two()")
    await ui.until_asked("one?")
    await ui.reload()
    await ui.until_asked("one?")
    await ui.answer("1")
    await ui.until_asked("two?")
    await ui.answer("2")
    assert await ui.until_ended() == "1|2"


async def test_the_prompts_of_two_runs_come_one_at_a_time(new_tab: NewTab) -> None:
    async with new_tab(workflow="probe_per_user") as ui:
        await ui.say("ask_two()")
        await ui.until_asked("one?")
        await ui.reload()
        ui.modal = None
        ui.stop()
        await ui.say("ask()")
        for question in ("one?", "two?", "prompt-1"):
            await ui.until_asked(question)
            await ui.answer(question)
        text = await ui.until_ended()
        assert "one?|two?" in text
        assert "prompt-1" in text


async def test_a_prompt_that_was_answered_in_another_tab_does_not_stay(new_tab: NewTab) -> None:
    async with new_tab() as ui:
        await ui.say("ask_two()")
        await ui.until_asked("one?")
        async with new_tab(copy_of=ui) as copy:
            await copy.until_asked("one?")
            await copy.answer("1")
            await ui.until_asked("two?")
            await copy.until_asked("two?")
            await ui.answer("2")
            assert await ui.until_ended() == await copy.until_ended() == "1|2"
            assert copy.modal is None
            assert "has answered" in copy.note
            assert ui.note == ""


async def test_a_late_answer_is_told_the_accepted_one(new_tab: NewTab) -> None:
    async with new_tab() as ui:
        await ui.say("stream_and_ask(tokens=1)")
        await ui.until_asked()
        async with new_tab(copy_of=ui) as copy:
            await copy.until_asked()
            late = copy.modal
            await ui.answer("first")
            await copy.until(lambda: copy.modal is None)
            copy.modal = late
            await copy.answer("second")
            await copy.until(lambda: copy.errors)
            assert "A guest has answered already (first)." in copy.errors[0]


async def test_a_script_answers_the_prompt_that_it_was_sent(ui: PeerUi) -> None:
    """Without a name in the answer, while several prompts are pending."""
    await ui.say("ask_two()")
    for question in ("one?", "two?"):
        await ui.until_asked(question)
        await ui._send("user_interaction_message", question, id="a")
        ui.modal = None
    assert await ui.until_ended() == "one?|two?"


async def link_to_form(ui: PeerUi) -> str:
    """Ask for a form; return the path of the link to it."""
    await ui.say('prompt(kind="form")')
    await ui.until_asked("Fill in the form here: http")
    assert ui.modal is not None
    text: str = ui.modal["content"]["text"]
    return urlsplit(text.partition("here: ")[2]).path


@pytest.mark.slow
async def test_the_link_to_a_form_lets_the_guest_fill_it_in(ui: PeerUi, backend: Server) -> None:
    path = await link_to_form(ui)
    nobody = Http(backend, None, workflow=None, headers={"cookie": f"csrftoken={CSRF}"})
    page = await asyncio.to_thread(nobody.get, path)
    assert (page.status, f'action="{path}"' in page.text) == (200, True)
    assert page.headers["cache-control"].startswith("max-age=0, no-cache, no-store")
    filled = {"value": "approve", "f-kind": "care", "f-start": "2026-11-23", "f-days": "x"}
    filled |= {"f-note": ""}
    filled |= {"next": path, "csrfmiddlewaretoken": CSRF}
    wrong = await asyncio.to_thread(nobody.form, path, filled)
    assert (wrong.status, "Enter a number" in wrong.text) == (422, True)
    answer = await asyncio.to_thread(nobody.form, path, filled | {"f-days": "2"})
    assert (answer.status, answer.headers["location"]) == (303, path)
    assert "'days': Decimal('2')" in await ui.until_ended()
    page = await asyncio.to_thread(nobody.get, path)
    assert (page.status, "<form" in page.text) == (200, False)


async def test_the_link_opens_that_prompt_and_nothing_else(
    new_tab: NewTab, backend: Server
) -> None:
    async with new_tab() as ui, new_tab() as other:
        path, others = await link_to_form(ui), await link_to_form(other)
        nobody = Http(backend, None, workflow=None)
        page = await asyncio.to_thread(nobody.get, path)
        cookies = page.headers.get_all("set-cookie", [])
        assert all(cookie.startswith("csrftoken=") for cookie in cookies)
        interaction, rest = path.split("/")[3].split(":", 1)
        swapped = others.split("/")[3].split(":")[0]
        for wrong in (
            f"/p/linked/{swapped}:{rest}/",
            f"/p/linked/{interaction}:1:{rest.split(':', 1)[1]}/",
            f"/p/linked/{interaction}/",
            f"/p/{interaction}/",
        ):
            assert (await asyncio.to_thread(nobody.get, wrong)).status in (302, 404)
        posted = await asyncio.to_thread(nobody.form, path, {"value": "approve"})
        assert posted.status == 403  # a page of another site cannot send it
