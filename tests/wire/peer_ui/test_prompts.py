"""Prompts in the peer's web UI: it has controls for three types, and one place for all."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.http.client import CSRF, Http
from tests.support.peer_ui import PeerUi
from tests.support.server import Server
from tests.wire.peer_ui.conftest import new_tab

# Conversations as they were recorded: by workflow, what each side does, and how the answer ends.
FORM = '{"kind": "care", "start": "2026-11-23", "days": 1}'
AGAIN = ("leave", "come_back")
CONVERSATIONS = {
    "a form is a link, and may be filled in here": (
        "probe",
        ['say prompt(kind="form")', "asked Fill in the form here: http", "reply tomorrow"],
        ["asked This is a form", f"reply {FORM}"],
        "{'kind': 'care', 'start': datetime.date(2026, 11, 23), 'days': Decimal('1'),"
        " 'half': False, 'note': '', 'tell': []}",
    ),
    "a proposal is approved as it is": (
        "probe",
        ['say prompt(kind="proposal")', "asked - Pieces: 200", "reply approve"],
        [],
        "Order(supplier='Nuts', pieces=200, price=Decimal('3.20'),"
        " to=['ann@example.org', 'bob@example.org'],"
        " letter='Dear Nuts,\\nplease send 200 bolts.', express=False)",
    ),
    "an answer that the prompt does not take is asked for again": (
        "probe",
        ['say prompt(kind="checkbox")', "asked Red, Blue", "reply red, green"],
        ["asked 'green' is not an option. Choose one of: red, blue.", "reply Blue"],
        "blue",
    ),
    "several prompts come one at a time": (
        "probe",
        ["say ask_two()", "asked one?", *AGAIN, "asked one?", "reply 1", "asked two?", "reply 2"],
        [],
        "1|2",
    ),
    "a prompt that is pending is there again": (
        "probe",
        ["say approve(count=2)", "asked prompt-1", *AGAIN, "asked prompt-1", "reply continue"],
        ["asked prompt-2", *AGAIN, "asked prompt-2", "reply continue"],
        "continue|continue",
    ),
    "the prompts of two runs come one at a time": (
        "probe_per_user",
        ["say ask_two()", "asked one?", *AGAIN, "asked one?", "say ask()", "asked one?", "reply 1"],
        ["asked two?", "reply 2", "asked prompt-1", "reply 3"],
        "1|23",
    ),
    "a run that goes on first asks again and gives no text": (
        "calculator",
        ["say 1+2+3+4+5+6", "asked", "say 1+1", "asked Try with up to 6?", "reply stop"],
        [],
        "`1+1` = **2**",
    ),
    "a message that is refused has the run before it ask again": (
        "parallel_review",
        ["say first", "asked Legal", "say second", "asked Legal", "reply approve"],
        ["asked Security", "reply approve", "asked Editorial", "reply approve"],
        "**Approved.**",
    ),
}


@pytest.mark.parametrize(
    ("workflow", "begin", "rest", "end"), CONVERSATIONS.values(), ids=CONVERSATIONS
)
async def test_a_conversation_goes_on_to_its_end(
    backend: Server, workflow: str, begin: list[str], rest: list[str], end: str
) -> None:
    async with new_tab(backend, workflow=workflow) as ui:
        for step in (*begin, *rest):
            action, _, text = step.partition(" ")
            await getattr(ui, action)(*[text] * bool(text))
        # Behind the table of reviewers, where there is one.
        assert (await ui.ended()).rpartition("|\n\n")[2] == end


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
    assert await ui.asked() == shown_as
    await ui.reply(answer_text)
    assert await ui.ended() == expected_text
    prompts = (frame["content"] for frame in ui.of_type("system_interaction_message"))
    popups = [one["text"] for one in prompts if one["input_type"] == "oauth_consent"]
    assert popups == ["https://login.example/authorize?state=s1"] * (type_ == "oauth_consent")


async def test_a_notification_goes_on_by_itself(ui: PeerUi, backend: Server) -> None:
    await ui.say('prompt(kind="notification")')
    await ui.noted("Look.")
    assert await ui.ended() == "ok"
    [row] = backend.rows(
        "SELECT status, answered_via FROM sessions_app_interaction"
        " WHERE response IS NOT NULL ORDER BY answered_at DESC LIMIT 1"
    )
    assert (row["status"], row["answered_via"]) == ("answered", "websocket")


@pytest.mark.slow
async def test_a_prompt_that_was_answered_in_another_tab_does_not_stay(backend: Server) -> None:
    async with new_tab(backend) as ui, ui.copied_tab() as copy:
        await ui.say("ask_two()")
        for tab in (ui, copy):
            await tab.asked("one?")
        await copy.reply("1")
        for tab in (ui, copy):
            await tab.asked("two?")
        await ui.reply("2")
        await copy.noted("has answered")
        assert await ui.ended() == await copy.ended() == "1|2"
        assert "notification" not in str(ui.of_type("system_interaction_message"))


@pytest.mark.slow
async def test_a_late_answer_is_told_the_accepted_one(backend: Server) -> None:
    async with new_tab(backend) as ui, ui.copied_tab() as copy:
        await ui.say("ask()")
        for tab in (ui, copy):
            await tab.asked()
        await ui.reply("first")
        await copy.noted("has answered")
        await copy.reply("second")
        error = await copy.until("error_message")
        assert "A guest has answered already (first)." in error["content"]["message"]


async def test_a_script_answers_the_prompt_that_it_was_sent(ui: PeerUi) -> None:
    await ui.say("ask_two()")
    for question in ("one?", "two?"):
        await ui.asked(question)
        await ui.answer(question, id="a")  # it names none of the pending ones
    assert await ui.ended() == "one?|two?"


async def link_to_form(ui: PeerUi) -> str:
    await ui.say('prompt(kind="form")')
    await ui.asked("Fill in the form here: http")
    return path_of_link(ui)


def path_of_link(ui: PeerUi) -> str:
    text: str = ui.prompt["content"]["text"]
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
    assert "'days': Decimal('2')" in await ui.ended()
    page = await asyncio.to_thread(nobody.get, path)
    assert (page.status, "<form" in page.text) == (200, False)


async def test_an_option_that_needs_a_note_is_chosen_behind_a_link(
    ui: PeerUi, backend: Server
) -> None:
    await ui.say("ask_destructive()")
    await ui.asked("For Delete, give the reason here: http")
    await ui.reply("delete")
    await ui.asked("Give a reason for “Delete”.")
    path = path_of_link(ui)
    nobody = Http(backend, None, workflow=None, headers={"cookie": f"csrftoken={CSRF}"})
    chosen = {"value": "delete", "note": "Nobody buys.", "next": path, "csrfmiddlewaretoken": CSRF}
    answer = await asyncio.to_thread(nobody.form, path, chosen)
    assert (answer.status, answer.headers["location"]) == (303, path)
    assert await ui.ended() == "delete"


async def test_the_link_opens_that_prompt_and_nothing_else(
    backend: Server,
) -> None:
    async with new_tab(backend) as ui, new_tab(backend) as other:
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
