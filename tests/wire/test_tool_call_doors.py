"""The approval of a tool call, at every door: shown, refused, edited, rejected with a reason."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from sessions_app import runs
from sessions_app.errors import Invalid
from sessions_app.models import Interaction, Run
from sessions_app.storage import reads
from tests.support.hosting import Hosting
from tests.support.workflows.forms import TOOL_CALL
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)

ASK = 'prompt(kind="tool_call")'
EDITED = {**TOOL_CALL.arguments, "pieces": 150}
APPROVAL = {"decision": "approve", "arguments": EDITED, "note": "We have 50."}
REFUSED = {"decision": "approve", "arguments": {**EDITED, "letter": "Send them."}}
# The fields of the form, as a page without script sends them.
FORM = {f"f-{name}": value for name, value in EDITED.items()} | {"f-_note": "We have 50."}


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    async with live_hosting("probe") as hosting:
        yield hosting


async def assert_executed(hosting: Hosting, run: Any, *, by: str, via: str) -> None:
    result = await hosting.result(run)
    assert result == f"approve {json.dumps(EDITED)} We have 50."
    [prompt] = await reads.read(
        lambda: list(Interaction.objects.filter(run=run).select_related("answered_by"))
    )
    assert prompt.response["arguments"] == EDITED
    assert prompt.response["changed"] == ["pieces"]
    assert (str(prompt.answered_by), prompt.answered_via) == (by, via)


async def test_the_socket_takes_edited_arguments(hosting: Hosting, ann: User) -> None:
    async with LocalSocket(ann, conversation_id="c") as socket:
        prompt = await socket.say_until_prompt(ASK)
        assert prompt["content"]["arguments"] == TOOL_CALL.arguments
        assert prompt["content"]["input_schema"] == TOOL_CALL.input_schema
        await socket.answer(json.dumps(REFUSED), interaction_id=prompt["interaction_id"])
        refusal = await socket.until("error_message")
        assert "does not match" in json.dumps(refusal)
        await socket.answer(json.dumps(APPROVAL), interaction_id=prompt["interaction_id"])
        await socket.until(lambda frame: "approve" in frame["content"].get("text", ""))
        run = await reads.read(lambda: Run.objects.get().pk)
        await assert_executed(hosting, run, by="ann", via="websocket")


async def test_a_plain_client_chooses_between_two(ann: User) -> None:
    async with LocalSocket(ann, conversation_id="c", extended=None) as socket:
        prompt = await socket.say_until_prompt(ASK)
        assert prompt["content"]["input_type"] == "radio"
        assert [one["value"] for one in prompt["content"]["options"]] == ["approve", "reject"]
        assert "- pieces: 200" in prompt["content"]["text"]
        await socket.answer("reject", thread_id=prompt["thread_id"])
        arguments = json.dumps(TOOL_CALL.arguments)
        await socket.until(lambda frame: f"reject {arguments}" in frame["content"].get("text", ""))


@pytest.mark.parametrize(
    ("page", "action", "via"),
    [("/c/c/", "/c/c/prompts/{}/", "page"), ("/inbox/", "/p/{}/answer/", "inbox")],
)
async def test_cards_work_without_script(
    hosting: Hosting, client: AsyncClient, page: str, action: str, via: str
) -> None:
    run, prompt = await hosting.submit_until_prompt(ASK)
    html = (await client.get(page)).content.decode()
    assert 'name="f-pieces"' in html
    assert 'name="value" value="reject"' in html
    form_data = {**FORM, "answer_id": uuid4().hex, "version": prompt.version}
    letter = {"f-letter": "Send them.", "value": "approve"}
    refusal = await client.post(action.format(prompt.pk), {**form_data, **letter})
    assert refusal.status_code == 422
    words = refusal.content.decode()
    assert "does not match" in words
    assert 'value="150"' in words
    approval = {**form_data, "value": "approve"}
    assert (await client.post(action.format(prompt.pk), approval)).status_code == 303
    await assert_executed(hosting, run, by="ann", via=via)
    assert "Approved; We have 50.; pieces: 200 → 150" in (
        (await client.get("/c/c/")).content.decode()
    )


async def test_http_takes_edited_arguments(hosting: Hosting, client: AsyncClient) -> None:
    run, _ = await hosting.submit_until_prompt(ASK)
    [prompt_body] = (await client.get("/v1/inbox")).json()["prompts"]
    assert prompt_body["prompt"]["arguments"] == TOOL_CALL.arguments
    url = prompt_body["response_url"]
    for answer, status in ((REFUSED, 422), (APPROVAL, 204)):
        body = {"response": {"text": json.dumps(answer)}}
        response = await client.post(url, body, content_type="application/json")
        assert response.status_code == status, response.content
    await assert_executed(hosting, run, by="ann", via="http")


async def test_code_edits_arguments(hosting: Hosting, ann: User) -> None:
    run, prompt = await hosting.submit_until_prompt(ASK)
    with pytest.raises(Invalid, match="does not match"):
        await hosting.in_thread(runs.answer, prompt.pk, REFUSED, by=ann)
    await hosting.in_thread(runs.answer, prompt.pk, APPROVAL, by=ann)
    await assert_executed(hosting, run, by="ann", via="python")
