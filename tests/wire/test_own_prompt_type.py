"""A type of prompt that a project adds, met at every door."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
from django import forms
from django.contrib.auth.models import User
from django.test import AsyncClient
from pytest_django import Settings

from chat_app.page.card_templates import register_template, template_of
from chat_app.wire.server_messages import SystemInteraction, protocol_schema
from sessions_app import runs
from sessions_app.contrib.replay.history_replay import RunHistory, replay_history
from sessions_app.errors import Invalid
from sessions_app.prompts import Content, base, plain_text
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, Prompt, RadioPrompt, Response, user, workflow
from tests.support.hosting import Hosting
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)

TEMPLATE = """
{% for star in card.prompt.stars %}<button name="value" value="{{ star }}">{{ star }} ★</button>
{% endfor %}"""


class RatingPrompt(Prompt[Response]):
    """Asks for one to five stars."""

    input_type: Literal["t_rating"] = "t_rating"
    most: int = 5
    takes = "a number of stars"

    @property
    def stars(self) -> Sequence[int]:
        return range(1, self.most + 1)

    def from_text(self, text: str) -> dict[str, Any]:
        if text not in map(str, self.stars):
            raise Invalid(f"Give 1 to {self.most} stars.")
        return {"value": int(text)}

    def answer_text(self, stored: dict[str, Any]) -> str:
        return "★" * int(stored["value"])

    def field(self) -> forms.Field:
        return forms.ChoiceField(choices=[(star, "★" * star) for star in self.stars])

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        text = f"{content['text']} (1 to {content['most']})"
        return [plain_text(content, text, placeholder="5", required=True)]


register_template(RatingPrompt, "t_rating.html")


@workflow(name="t_rated", title="Rated")
async def rated(message: Message, context: Context) -> str:
    to = None if message.text == "own" else user(message.text)
    answer = await context.ask(RatingPrompt(text="How was it?"), to=to)
    stars: int = answer.value
    return f"{stars:d} of 5, by {answer.by}"


def add_template(settings: Settings, folder: Path) -> None:
    (folder / "t_rating.html").write_text(TEMPLATE)
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [folder, *engine["DIRS"]]}]


@pytest.fixture
async def hosting(settings: Settings, tmp_path: Path) -> AsyncIterator[Hosting]:
    add_template(settings, tmp_path)
    async with live_hosting("t_rated") as hosting:
        yield hosting


async def test_the_socket_sends_the_fields_of_an_own_prompt_type(ann: User) -> None:
    async with LocalSocket(ann, conversation_id="c") as socket:
        prompt = await socket.say_until_prompt("own")
        assert (prompt["content"]["input_type"], prompt["content"]["most"]) == ("t_rating", 5)
        await socket.answer("4", interaction_id=prompt["interaction_id"])
        output = await socket.until("system_response_message")
        assert output["content"]["text"] == "4 of 5, by ann"


async def test_a_plain_client_gets_what_it_can_show(ann: User) -> None:
    async with LocalSocket(ann, conversation_id="c", extended=None) as socket:
        prompt = await socket.say_until_prompt("own")
        assert prompt["content"]["input_type"] == "text"
        assert prompt["content"]["text"] == "How was it? (1 to 5)"
        await socket.answer("6", thread_id=prompt["thread_id"])
        second_prompt = await socket.until(
            lambda frame: "Give 1 to 5" in frame["content"].get("text", "")
        )
        await socket.answer("5", thread_id=second_prompt["thread_id"])
        await socket.until(lambda frame: frame["content"].get("text") == "5 of 5, by ann")


async def test_page_and_inbox_show_the_card_of_an_own_prompt_type(
    hosting: Hosting, client: AsyncClient
) -> None:
    for page, action in (("/c/c/", "/c/c/prompts/{}/"), ("/inbox/", "/p/{}/answer/")):
        run, prompt = await hosting.submit_until_prompt("own")
        html = (await client.get(page)).content.decode()
        assert 'data-type="t_rating"' in html
        assert '<button name="value" value="5">5 ★</button>' in html
        form_data = {"value": "9", "answer_id": uuid4().hex, "version": prompt.version}
        refusal = await client.post(action.format(prompt.pk), form_data)
        assert refusal.status_code == 422
        assert "Give 1 to 5 stars." in refusal.content.decode()
        acceptance = await client.post(action.format(prompt.pk), {**form_data, "value": "3"})
        assert acceptance.status_code == 303
        assert await hosting.result(run) == "3 of 5, by ann"
        assert "★★★" in (await client.get("/c/c/")).content.decode()


async def test_an_own_prompt_type_is_asked_and_answered_over_http(
    hosting: Hosting, client: AsyncClient
) -> None:
    run, _ = await hosting.submit_until_prompt("own")
    [prompt_body] = (await client.get("/v1/inbox")).json()["prompts"]
    assert prompt_body["prompt"]["input_type"] == "t_rating"
    answer = {"response": {"text": 2}}
    response = await client.post(
        prompt_body["response_url"], answer, content_type="application/json"
    )
    assert response.status_code == 204
    assert await hosting.result(run) == "2 of 5, by ann"


async def test_code_answers_it_and_its_history_is_replayed(
    hosting: Hosting, ann: User, tmp_path: Path
) -> None:
    run, prompt = await hosting.submit_until_prompt("own")
    with pytest.raises(Invalid, match="Give 1 to 5 stars"):
        await hosting.in_thread(runs.answer, prompt.pk, 7, by=ann)
    await hosting.restart()
    await hosting.in_thread(runs.answer, prompt.pk, 5, by=ann)
    assert await hosting.result(run) == "5 of 5, by ann"
    recorded = await reads.read(RunHistory.of, run)
    (tmp_path / "history.json").write_text(recorded.model_dump_json())
    assert await replay_history(tmp_path / "history.json") == []


GONE = "cannot read questions of the kind “t_rating”"


@pytest.mark.slow
async def test_a_prompt_whose_type_is_gone_is_read_and_not_answered(
    hosting: Hosting, ann: User, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, prompt = await hosting.submit_until_prompt("own")
    _, assigned = await hosting.submit_until_prompt("ann", conversation="d")
    monkeypatch.delitem(base._types, "t_rating")  # as where its application is not installed
    for page in ("/c/c/", "/c/d/", "/inbox/", f"/p/{assigned.pk}/"):
        html = (await client.get(page)).content.decode()
        assert ("How was it?" in html, GONE in html) == (True, True), page
    for page in ("/v1/inbox", f"/executions/{run}"):
        assert "How was it?" in (await client.get(page)).content.decode(), page
    form_data = {"value": "3", "answer_id": uuid4().hex, "version": prompt.version}
    refusal = await client.post(f"/c/c/prompts/{prompt.pk}/", form_data)
    assert (refusal.status_code, GONE in refusal.content.decode()) == (422, True)
    async with LocalSocket(ann, conversation_id="c", extended=None) as socket:
        await socket.until(lambda frame: frame["content"].get("text") == "How was it?")


def test_the_schema_has_an_own_prompt_type(monkeypatch: pytest.MonkeyPatch) -> None:
    SystemInteraction.model_rebuild(force=True)
    assert "RatingPrompt" in protocol_schema()["$defs"]
    # Other tests compare the schema with the documented one.
    for name, own in list(base._types.items()):
        if own.__module__.startswith("tests."):
            monkeypatch.delitem(base._types, name)
    SystemInteraction.model_rebuild(force=True)
    assert "RatingPrompt" not in protocol_schema()["$defs"]


def test_two_types_cannot_have_one_name() -> None:
    with pytest.raises(TypeError, match="has the input_type 'radio' already"):

        class Other(Prompt[Response]):
            input_type: Literal["radio"] = "radio"

    class Mine(RadioPrompt):
        """The same type, with more to it in code."""

    prompt = Mine(text="Which?", options=["a"])
    assert prompt.kind == "choice"
    assert template_of(prompt) == template_of(RadioPrompt(text="Which?", options=["a"]))
