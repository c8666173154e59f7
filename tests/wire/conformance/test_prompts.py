"""Every prompt type, answered as the peer's clients do and with our additions."""

import pytest

from tests.support.received_frames import Frame
from tests.wire.conformance.conftest import CLIENT_MESSAGE, Conforming, answer

TYPES = ["text", "notification", "binary_choice", "radio", "dropdown", "checkbox", "oauth_consent"]
CHOICE = ("binary_choice", "radio", "dropdown", "checkbox")
ANSWERS = {
    **{type_: (answer_value, "blue") for type_ in CHOICE for answer_value in ["blue"]},
    "text": ("Ada", "Ada"),
    "notification": ("Notification acknowledgement.", "ok"),
    "oauth_consent": ("done", "done"),
}


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


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("type_", TYPES)
async def test_a_plain_client_answers_by_thread_and_parent_or_names_nothing(
    client: Conforming, type_: str, is_named: bool
) -> None:
    answer_value, value = ANSWERS[type_]
    prompt = await prompt_of(client, type_)
    names = ("thread_id", "parent_id", "conversation_id") if is_named else ()
    nothing = {"thread_id": "default", "parent_id": "default"}
    await client.send(
        answer(answer_value, id="default", **nothing | {one: prompt[one] for one in names})
    )
    assert await client.result() == value


@pytest.mark.parametrize("type_", ["radio", "checkbox"])
@pytest.mark.parametrize("answer_value", ["blue", "2", "Blue"])
async def test_an_option_is_named_by_its_value_id_or_label(
    client: Conforming, type_: str, answer_value: str
) -> None:
    prompt = await prompt_of(client, type_)
    await client.send(answer(answer_value, interaction_id=prompt["id"], version=1, id="a1"))
    assert (await client.reply_to("a1"))["outcome"] == "accepted"
    assert await client.result() == "blue"


async def test_an_option_that_is_no_text_is_named_by_itself_or_as_text(client: Conforming) -> None:
    for answer_value in (True, "true", 3, "3", "0.5"):
        prompt = await client.message_until_prompt('prompt(kind="values")')
        assert [option["value"] for option in prompt["content"]["options"]] == [True, 3, 0.5]
        await client.send(answer(answer_value))
        await client.until_ended()
    assert client.text() == "truetrue330.5"


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


async def test_consent_can_be_declined(client: Conforming) -> None:
    await prompt_of(client, "oauth_consent")
    await client.send(answer("declined"))
    assert await client.result() == "declined"


async def test_another_version_of_a_prompt_is_stale(client: Conforming) -> None:
    prompt = await prompt_of(client, "text")
    await client.send(answer("x", id="a1", interaction_id=prompt["id"], version=2))
    ack = await client.reply_to("a1")
    assert ack["outcome"] == "stale"
    await client.send(answer("y", id="a2", interaction_id=prompt["id"], version=1))
    assert await client.result() == "y"
