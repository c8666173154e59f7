"""Answers that are checked at once by a prompt that was sent: outcomes are as those by a thread."""

import threading
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Literal

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app.interactions import sent_prompts
from sessions_app.json_types import JsonObject
from sessions_app.models import Conversation, Interaction
from sessions_app.prompts import Answer
from sessions_app.workflows import Context, Message, Prompt, RadioPrompt, TextPrompt, workflow
from tests.support.hosting import Hosting
from tests.support.received_frames import Frame
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)

PROMPT = "system_interaction_message"
AT_ONCE, BY_THREAD = "at once", "by a thread"
OPTIONS = ["yes", "no"]


class OwnPrompt(RadioPrompt):
    """A class of a project, which may do anything in its check."""

    input_type: Literal["t_quick_own"] = "t_quick_own"  # type: ignore[assignment] # a type of its own


PROMPTS: dict[str, list[Prompt[Any]]] = {
    "option": [RadioPrompt(text="Go?", options=OPTIONS)],
    "text": [TextPrompt(text="Why?")],
    "own": [OwnPrompt(text="Go?", options=OPTIONS)],
    "large": [RadioPrompt(text="x" * sent_prompts.MAX_BYTES, options=OPTIONS)],
    "options": [RadioPrompt(text="Go?", options=["yes", *map(str, range(10))])],
    "two": [RadioPrompt(text="one?", options=OPTIONS), RadioPrompt(text="two?", options=OPTIONS)],
    "many": [RadioPrompt(text=f"{n}" * 1000, options=OPTIONS) for n in range(9)],
}


@workflow(name="t_quick", title="Quick answers")
async def quick(message: Message, context: Context) -> str:
    for answer in await context.ask_all(PROMPTS[message.text]):
        last = answer.value
    return f"got {last}"


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    async with live_hosting("t_quick") as hosting:
        yield hosting


@pytest.fixture(params=["true", None], ids=["page", "plain"])
async def socket(ann: User, request: pytest.FixtureRequest) -> AsyncIterator[LocalSocket]:
    async with LocalSocket(ann, conversation_id="c", extended=request.param) as socket:
        yield socket


@pytest.fixture
async def page(ann: User) -> AsyncIterator[LocalSocket]:
    async with LocalSocket(ann, conversation_id="c") as socket:
        yield socket


@pytest.fixture(params=[AT_ONCE, BY_THREAD])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == BY_THREAD:
        monkeypatch.setattr(sent_prompts, "MAX_BYTES", 0)
    return str(request.param)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways in which answers are checked, in order."""
    ways: list[str] = []
    check = Prompt.check

    def checked(prompt: Prompt[Any], answer: Answer) -> JsonObject:
        is_main = threading.current_thread() is threading.main_thread()
        ways.append(AT_ONCE if is_main else BY_THREAD)
        return check(prompt, answer)

    monkeypatch.setattr(Prompt, "check", checked)
    return ways


_numbers = count()


async def outcome(socket: LocalSocket, prompt: Frame | None, text: str, **fields: Any) -> str:
    """Answer as the kind of client does, and return the outcome in one word."""
    names = {"id": f"a{next(_numbers)}"}
    if prompt is not None and b"extended" in socket.scope["query_string"]:
        names["interaction_id"] = prompt["id"]
    elif prompt is not None:
        names = {"id": prompt["id"], "thread_id": prompt["thread_id"]}
    before = len(socket.frames)
    await socket.answer(text, **names, **fields)
    await socket.until_settled()
    for frame in socket.frames[before:]:
        if frame["type"] == "ack_message":
            return str(frame["outcome"])
        if frame["type"] == "error_message":
            is_unknown = frame["content"]["code"] == "invalid_message"
            late = "stale" if "status" in frame["details"] else "refused"
            return "not_found" if is_unknown else late
    return "accepted"


async def ended(socket: LocalSocket) -> None:
    await socket.until(lambda frame: frame["content"].get("text") == "got yes")


async def test_a_valid_answer_is_accepted(socket: LocalSocket, way: str, checks: list[str]) -> None:
    prompt = await socket.say_until_prompt("option")
    assert await outcome(socket, prompt, "yes") == "accepted"
    await ended(socket)
    assert checks == [way]


async def test_a_refused_answer_leaves_the_prompt_pending(
    socket: LocalSocket, way: str, checks: list[str]
) -> None:
    prompt = await socket.say_until_prompt("option")
    assert await outcome(socket, prompt, "maybe") == "refused"
    assert await outcome(socket, prompt, "yes") == "accepted"
    await ended(socket)
    assert checks == [way, way]


async def test_an_answer_to_another_version_is_stale(
    socket: LocalSocket, way: str, checks: list[str]
) -> None:
    prompt = await socket.say_until_prompt("option")
    assert await outcome(socket, prompt, "yes", version=2) == "stale"
    await Interaction.objects.aupdate(version=3)
    for text in ("yes", "maybe"):
        assert await outcome(socket, prompt, text, version=1) == "stale"
    assert await Interaction.objects.filter(status="pending").acount() == 1
    assert set(checks) == {way}


async def test_no_answer_is_taken_by_the_content_of_an_older_version(socket: LocalSocket) -> None:
    prompt = await socket.say_until_prompt("option")
    await Interaction.objects.aupdate(version=2)
    assert await outcome(socket, prompt, "yes") == "stale"
    assert await Interaction.objects.filter(status="pending").acount() == 1


@pytest.mark.parametrize("text", ["yes", "maybe"])
async def test_who_has_lost_the_right_is_told_of_no_such_prompt(
    socket: LocalSocket, way: str, text: str
) -> None:
    """The rows change before the client's feed hears of it."""
    prompt = await socket.say_until_prompt("option")
    await Interaction.objects.aupdate(for_owner=False)
    assert await outcome(socket, prompt, text) == "not_found"
    await Interaction.objects.aupdate(for_owner=True)
    await Conversation.objects.aupdate(deleted_at=timezone.now())
    assert await outcome(socket, prompt, text) == "not_found"


@pytest.mark.parametrize("text", ["yes", "maybe"])
async def test_an_answer_to_a_withdrawn_prompt_is_stale(
    socket: LocalSocket, way: str, text: str
) -> None:
    prompt = await socket.say_until_prompt("option")
    await Interaction.objects.aupdate(status=Interaction.Status.CANCELLED)
    assert await outcome(socket, prompt, text) == "stale"


async def test_an_answer_without_a_name_is_refused_if_several_prompts_are_pending(
    page: LocalSocket, way: str
) -> None:
    await page.say_until_prompt("two")
    await page.until(PROMPT)
    assert await outcome(page, None, "yes") == "refused"
    assert len(page.frames[-2]["details"]["pending"]) == 2


async def test_a_plain_client_answers_the_prompt_on_display_by_no_name(
    ann: User, hosting: Hosting, way: str, checks: list[str]
) -> None:
    async with LocalSocket(ann, conversation_id="c", extended=None) as plain:
        one = await plain.say_until_prompt("two")
        assert await outcome(plain, None, "no") == "accepted"
        two = await plain.until(PROMPT)
        assert [frame["content"]["text"] for frame in (one, two)] == ["one?", "two?"]
        # The client names the prompt that it has answered, so nothing answers the other.
        assert await outcome(plain, one, "yes") == "stale"
        assert await Interaction.objects.filter(status="pending").acount() == 1
        assert checks == [way, BY_THREAD]


async def test_own_classes_and_large_prompts_are_checked_by_a_thread(
    socket: LocalSocket, checks: list[str]
) -> None:
    for text in ("own", "large", "options"):
        prompt = await socket.say_until_prompt(text)
        assert await outcome(socket, prompt, "yes") == "accepted"
        await ended(socket)
    assert checks == [BY_THREAD] * 3


async def test_long_answers_and_notes_are_checked_by_a_thread(
    page: LocalSocket, checks: list[str]
) -> None:
    prompt = await page.say_until_prompt("text")
    assert await outcome(page, prompt, "x" * (sent_prompts.MAX_LENGTH + 1)) == "accepted"
    form = {"values": ["yes"], "note": "because"}
    for fields in ({"data": {"value": "yes", "note": "because"}}, {"form": form}):
        prompt = await page.say_until_prompt("option")
        assert await outcome(page, prompt, "", content=None, **fields) == "accepted"
    assert checks == [BY_THREAD] * 3


async def test_only_the_last_prompts_are_kept_up_to_a_number_of_bytes(
    page: LocalSocket, checks: list[str]
) -> None:
    prompts = [await page.say_until_prompt("many")]
    prompts += [await page.until(PROMPT) for _ in range(8)]
    assert await outcome(page, prompts[0], "yes") == "accepted"
    assert await outcome(page, prompts[-1], "yes") == "accepted"
    assert checks == [BY_THREAD, AT_ONCE]


async def test_a_settled_prompt_is_not_kept(page: LocalSocket, checks: list[str]) -> None:
    prompt = await page.say_until_prompt("option")
    assert await outcome(page, prompt, "yes") == "accepted"
    await ended(page)
    assert await outcome(page, prompt, "yes") == "stale"
    assert checks == [AT_ONCE, BY_THREAD]
