"""Tests of what a client may say, and what it is told when it may not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.wire.client_messages import MESSAGES, ClientMessage, UserMessage
from chat_app.wire.parsing import MAX_FRAME, Refusal, check_query, parse
from sessions_app.conversations.messages import MAX_MESSAGE


def user_message(**fields: Any) -> dict[str, Any]:
    content = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}
    message = {"type": "user_message", "schema_type": "chat_stream", "id": "m1", "content": content}
    return {**message, **fields}


def texts(*texts: Any, role: str = "user") -> dict[str, Any]:
    parts = [{"type": "text", "text": text} for text in texts]
    return {"messages": [{"role": role, "content": parts}]}


def refused(text: str | None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(text)
    return caught.value


DEEP = "[" * 9_000 + "]" * 9_000
BAD = [
    (None, "invalid_message", "text frame"),
    ("", "invalid_message", "not valid JSON"),
    ("{", "invalid_message", "not valid JSON"),
    ("[]", "invalid_message", "JSON object"),
    ('"x"', "invalid_message", "JSON object"),
    ("null", "invalid_message", "JSON object"),
    ("x" * (MAX_FRAME + 1), "invalid_message", "at most 524,288"),
    ("é" * (MAX_FRAME // 2 + 1), "invalid_message", "at most 524,288"),
    (DEEP, "invalid_message", "too deep"),
    ("[" * 201 + "]" * 201, "invalid_message", "too deep"),
    ("[" * 200 + "]" * 200, "invalid_message", "JSON object"),
    ('{"type":"user_message","id":' + DEEP[:4000] + "}", "invalid_message", ""),
    ('{"type":"ack_message","sequence":NaN}', "invalid_message", "NaN"),
    ('{"type":"ack_message","sequence":-Infinity}', "invalid_message", "-Infinity"),
    ('{"type":"ping_message","type":"stop_message"}', "invalid_message", "same name twice"),
    ('{"type":"ack_message","sequence":' + "9" * 5000 + "}", "invalid_message", ""),
    ("{}", "invalid_message_type", "no type"),
    ('{"type":7}', "invalid_message_type", "7"),
    ('{"type":"nonsense"}', "invalid_message_type", "user_interaction_message"),
    ('{"type":"auth_message"}', "invalid_message", "payload"),
    ('{"type":"auth_message","payload":{"method":"magic"}}', "invalid_message", "magic"),
    ('{"type":"ack_message","sequence":-1}', "invalid_message", "sequence"),
    ('{"type":["user_message"]}', "invalid_message_type", "user_message"),
]


@pytest.mark.parametrize(("text", "code", "says"), BAD)
def test_a_malformed_message_is_refused_with_the_reason(
    text: str | None, code: str, says: str
) -> None:
    refusal = refused(text)
    assert refusal.code == code
    assert says in str(refusal)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"content": None}, "content"),
        ({"content": {}}, "content.messages"),
        ({"content": texts(7)}, "content.messages.0.content.0.text"),
        ({"content": texts("a\0b")}, "content.messages.0.content.0.text"),
        ({"content": texts("\ud800")}, "content.messages.0.content.0.text"),
        ({"schema_type": "telepathy"}, "schema_type"),
        ({"id": "x" * 201}, "id"),
        ({"id": 7}, "id"),
        ({"conversation_id": "a\0"}, "conversation_id"),
        ({"workflow": []}, "workflow"),
    ],
)
def test_fields_that_are_missing_or_wrong_are_listed(fields: dict[str, Any], wrong: str) -> None:
    refusal = refused(json.dumps(user_message(**fields)))
    assert [field["field"] for field in refusal.details["fields"]] == [wrong]
    in_content = wrong.startswith("content")
    assert refusal.code == ("invalid_user_message_content" if in_content else "invalid_message")


@pytest.mark.parametrize(
    "content", ["x" * MAX_FRAME, '"' * MAX_FRAME, None], ids=["large", "large escaped", "none"]
)
def test_a_refusal_names_the_message_it_is_about(content: str | None) -> None:
    frame = {"id": "m9", "conversation_id": "c9", "type": "user_message", "content": content}
    refusal = refused(json.dumps(frame))
    assert (refusal.about, refusal.parent, refusal.conversation_id) == ("m9", "m9", "c9")


@pytest.mark.parametrize("character", ["é", "字", "😀", "\x01", '"'])
def test_the_longest_text_fits_into_a_frame_however_it_is_written(character: str) -> None:
    message = parse(json.dumps(user_message(content=texts(character * MAX_MESSAGE))))
    assert isinstance(message, UserMessage)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
field_names = st.sampled_from(
    ["id", "content", "conversation_id", "schema_type", "values", "version", "sequence", "run_id"]
)


@pytest.mark.slow
@given(
    st.text(max_size=200)
    | json_values.map(json.dumps)
    | st.builds(
        lambda type_, fields: json.dumps({**user_message(), **fields, "type": type_}),
        st.sampled_from(list(MESSAGES)),
        st.dictionaries(field_names, json_values, max_size=4),
    )
)
def test_anything_is_a_message_or_refused(text: str) -> None:
    try:
        message: ClientMessage | None = parse(text)
    except Refusal as refusal:
        json.dumps(refusal.details)
        message = None
    assert message is None or MESSAGES[json.loads(text)["type"]] is type(message)


def test_wrong_query_values_are_passed_over_and_said() -> None:
    given_ = {"conversation_id": "x" * 300, "last_sequence": "seven", "workflow": "probe", "a": "b"}
    query, refusals = check_query(given_)
    assert (query.conversation_id, query.last_sequence, query.workflow) == (None, None, "probe")
    assert {refusal.details["field"] for refusal in refusals} == {
        "conversation_id",
        "last_sequence",
    }
