"""Every prompt type, answered as the peer's clients do and with our additions."""

from typing import Any

import pytest

from tests.support.received_frames import Frame
from tests.wire.conformance.conftest import CLIENT_MESSAGE, Conforming, answer

TYPES = ["text", "notification", "binary_choice", "radio", "dropdown", "checkbox", "oauth_consent"]
CHOICE = ("binary_choice", "radio", "dropdown", "checkbox")


async def prompt_of(client: Conforming, type_: str) -> Frame:
    return await client.message_until_prompt(f'prompt(kind="{type_}")', message_id="m1")


@pytest.mark.parametrize("type_", TYPES)
async def test_a_prompt_has_the_fields_of_its_type(client: Conforming, type_: str) -> None:
    prompt = await prompt_of(client, type_)
    content = prompt["content"]
    assert (content["input_type"], prompt["parent_id"]) == (type_, "m1")
    assert prompt["id"] == prompt["thread_id"] == prompt["interaction_id"]
    assert (prompt["status"], prompt["version"]) == ("in_progress", 1)
    assert content["error"]
    if type_ in CHOICE:
        assert [
            set(option) >= {"id", "label", "value", "description"} for option in content["options"]
        ] == [True, True]
    elif type_ == "text":
        assert (content["placeholder"], content["required"]) == ("a name", True)
        assert 590 <= content["timeout"] <= 600
        assert prompt["expires_at"] > prompt["server_now"]
    elif type_ == "oauth_consent":
        assert content["text"] == "https://login.example/authorize?state=s1"
    if type_ != "text":
        assert (content["timeout"], prompt["expires_at"]) == (None, None)


NOTHING = {"thread_id": "default", "parent_id": "default"}
# Of the prompt, what a plain client sends back.
NAMES = ("thread_id", "parent_id", "conversation_id")
TEXTS = [
    ("text", "Ada", "Ada"),
    ("notification", "Notification acknowledgement.", "ok"),
    ("oauth_consent", "done", "done"),
    ("oauth_consent", "declined", "declined"),
    *((type_, "blue", "blue") for type_ in CHOICE),
    *((type_, text, "blue") for type_ in ("radio", "checkbox") for text in ("2", "Blue")),
    *(("values", value, str(value).lower()) for value in (True, "true", 3, "3", "0.5")),
]


@pytest.mark.parametrize("names", [NAMES, (), ("interaction_id", "version")], ids=str)
@pytest.mark.parametrize(("type_", "text", "value"), TEXTS)
async def test_a_prompt_is_answered_by_its_thread_its_id_or_without_a_name(
    client: Conforming, type_: str, text: Any, value: str, names: tuple[str, ...]
) -> None:
    prompt = await prompt_of(client, type_)
    if type_ == "values":
        assert [option["value"] for option in prompt["content"]["options"]] == [True, 3, 0.5]
    fields = NOTHING | {one: prompt[one] for one in names}
    await client.send(answer(text, id="a1" if "version" in names else "default", **fields))
    if "version" in names:
        assert (await client.reply_to("a1"))["outcome"] == "accepted"
    assert await client.result() == value


async def test_several_boxes_are_answered_by_values(client: Conforming) -> None:
    prompt = await prompt_of(client, "checkbox")
    frame = {"type": "user_interaction_message", "interaction_id": prompt["id"]}
    await client.send({**frame, "values": ["2", "red"]})
    assert await client.result() == "red, blue"


async def test_a_form_is_answered_by_its_data_with_errors_by_field(
    client: Conforming,
) -> None:
    prompt = await prompt_of(client, "form")
    data = {"kind": "care", "start": "2026-11-22", "days": 2, "half": True}
    frame = {"type": "user_interaction_message", "interaction_id": prompt["id"], "id": "a1"}
    await client.send({**frame, "data": data})
    reply = await client.reply_to("a1")
    assert reply["details"]["errors"] == {
        "start": ["That is a Sunday."],
        "": ["Care is for whole days."],
    }
    right = {**frame, "id": "a2", "data": {**data, "start": "2026-11-23", "half": False}}
    CLIENT_MESSAGE.validate(right)
    await client.send(right)
    await client.until_ended()
    assert "'days': Decimal('2')" in client.text()


async def test_another_version_of_a_prompt_is_stale(client: Conforming) -> None:
    prompt = await prompt_of(client, "text")
    await client.send(answer("x", id="a1", interaction_id=prompt["id"], version=2))
    ack = await client.reply_to("a1")
    assert ack["outcome"] == "stale"
    await client.send(answer("y", id="a2", interaction_id=prompt["id"], version=1))
    assert await client.result() == "y"
