"""Answers that do not say what their prompt asks for: no door takes one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django import forms
from django.test import AsyncClient

from sessions_app import runs
from sessions_app.errors import Invalid
from sessions_app.models import Interaction
from sessions_app.prompts import AnyPrompt
from sessions_app.storage import reads
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    FormPrompt,
    LinkPrompt,
    Message,
    OAuthPrompt,
    RadioPrompt,
    ToolCallPrompt,
    workflow,
)
from tests.support.hosting import Hosting
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket, content

pytestmark = pytest.mark.django_db(transaction=True)


class Sure(forms.Form):
    """A form of which nothing is required."""

    sure = forms.BooleanField(required=False)
    euro = forms.IntegerField(required=False)


ELICITATION = {
    "type": "object",
    "properties": {"sure": {"type": "boolean"}, "name": {"type": "string"}},
}
PROMPTS: dict[str, AnyPrompt] = {
    "call": ToolCallPrompt(text="?", tool="pay", arguments={"euro": 400}),
    "editable call": ToolCallPrompt(
        text="?",
        tool="pay",
        arguments={"euro": 400},
        input_schema={"properties": {"euro": {"type": "integer"}, "approved": {}}},
        editable=True,
        answerable=True,
    ),
    "proposal": FormPrompt(Sure, text="?", initial={"euro": 400}, proposal=True, reject="No"),
    "elicitation": FormPrompt(ELICITATION, text="?", submit="Send", reject="Decline"),
    "binary": BinaryPrompt(text="?", options=["pay", "refuse"]),
    "truth": RadioPrompt(text="?", options=[True, False]),
    "link": LinkPrompt(text="?", url="https://example.org/pay"),
    "consent": OAuthPrompt(text="https://example.org/agree"),
}
# Objects that say no in another's words, say nothing, or say more than one thing.
OBJECTS: list[dict[str, Any]] = [
    {},
    {"approved": False},
    {"approved": True},
    {"action": "decline"},
    {"action": "accept"},
    {"note": "No, never"},
    {"type": "reject", "message": "no"},
    {"type": "approve"},
    {"decision": None},
    {"decision": "maybe"},
    {"decision": ["approve"]},
    {"decision": "approve", "approved": False},
    {"decision": "approve", "_decision": ["reject"]},
    {"decision": "approve", "arguments": []},
    {"decision": "reject", "arguments": {"euro": 1}},
    {"_decision": ["approve"]},
    {"value": "approve", "decision": "reject"},
    {"value": None},
    {"value": ["pay", "refuse"]},
    {"sure": "no"},
    {"sure": 0, "euro": 1},
    {"sure": "false", "euro": None},
    {"sure": None, "name": "Eve"},
]
TEXTS = ["", "no", "yes", "ok", "true ", "Approve!", "null", "[]", '"approve"', "{", "done?", "1"]
# What a browser does not send: no button, two, one of another card, or fields that are missing.
FORMS: list[dict[str, Any]] = [
    {},
    {"value": ""},
    {"value": "yes"},
    {"value": ["approve", "reject"]},
    {"value": ["pay", "refuse"]},
    {"value": ["done", "declined"]},
    {"value": ["true", "false"]},
    {"f-_decision": "approve"},
    {"f-sure": "on"},
    {"value": "approve", "f-sure": "no"},
    {"f-euro": "400", "f-_note": ""},
    {"value": "accept", "f-euro": "400"},
]


@workflow(name="t_malformed", title="Malformed")
async def ask_one(message: Message, context: Context) -> str:
    answer = await context.ask(PROMPTS[message.text])
    return f"answered {answer.value}"


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    async with live_hosting("t_malformed") as hosting:
        yield hosting


async def over_http(url: str, client: AsyncClient) -> list[str]:
    answers = [
        *({"data": value} for value in OBJECTS),
        *({"text": text} for text in (*TEXTS, *map(json.dumps, OBJECTS))),
        *({"selected_option": {"value": text}} for text in TEXTS),
        *OBJECTS,
        {"text": "approve", "data": {"decision": "reject"}},
        {"selected_options": [{"value": "approve"}, {"value": "refuse"}]},
    ]
    taken = []
    for answer in answers:
        body = {"response": answer}
        response = await client.post(url, body, content_type="application/json")
        if response.status_code != 422 or not response.json()["detail"]:
            taken.append(f"{response.status_code} {body}")
    doubled = '{"response": {"data": {"decision": "reject", "decision": "approve"}}}'
    response = await client.post(url, doubled, content_type="application/json")
    return taken if response.status_code in (400, 422) else [*taken, doubled]


async def over_socket(prompt: Interaction, owner: Any) -> list[str]:
    frames = [
        *({"data": value} for value in OBJECTS),
        *(content(text) for text in (*TEXTS, *map(json.dumps, OBJECTS))),
        *({"values": [text]} for text in TEXTS),
        *({"form": value} for value in OBJECTS),
        *(_as_form(form) for form in FORMS),
        {},
        {"values": ["pay", "refuse"]},
        {**content("approve"), "values": ["refuse"]},
        {**content("approve"), "data": {"decision": "reject"}},
    ]
    taken = []
    async with LocalSocket(owner, conversation_id="c") as socket:
        for number, frame in enumerate(frames):
            message = {"type": "user_interaction_message", "interaction_id": str(prompt.pk)}
            await socket.send({**message, "id": f"m{number}", **frame})
            reply = await socket.reply_to(f"m{number}")
            if reply["type"] != "error_message":
                taken.append(f"{frame}")
    return taken


def _as_form(form: dict[str, Any]) -> dict[str, Any]:
    values = form.get("value", [])
    fields = {name[2:]: [value] for name, value in form.items() if name.startswith("f-")}
    return {"form": {"values": [values] if isinstance(values, str) else values, "fields": fields}}


async def over_pages(prompt: Interaction, client: AsyncClient) -> list[str]:
    taken = []
    for path in (f"/c/c/prompts/{prompt.pk}/", f"/p/{prompt.pk}/answer/"):
        for form in FORMS:
            response = await client.post(path, form)
            if response.status_code != 422:
                taken.append(f"{response.status_code} {path} {form}")
    return taken


async def by_code(prompt: Interaction, by: Any) -> list[str]:
    taken = []
    values: list[Any] = [*OBJECTS, *TEXTS, *map(json.dumps, OBJECTS), [], ["pay", "refuse"]]
    for value in values:
        try:
            taken.append(f"{await runs.aanswer(prompt.pk, value, by=by)} {value}")
        except Invalid:
            continue
    return taken


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMPTS)
async def test_no_door_takes_an_answer_that_does_not_say_yes_or_no(
    name: str, hosting: Hosting, client: AsyncClient
) -> None:
    run, prompt = await hosting.submit_until_prompt(name)
    owner = await reads.read(lambda: prompt.conversation.owner)
    [body] = (await client.get("/v1/inbox")).json()["prompts"]
    taken = [
        *(await over_http(body["response_url"], client)),
        *(await over_socket(prompt, owner)),
        *(await over_pages(prompt, client)),
        *(await by_code(prompt, owner)),
    ]
    assert taken == []
    row = await reads.read(Interaction.objects.get, pk=prompt.pk)
    assert (row.status, row.response) == ("pending", None)
    assert (await hosting.until_status(run, "waiting")).status == "waiting"
