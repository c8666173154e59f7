"""Every error, from raw JSON: the reason is said, and the socket stays."""

import json

from chat_app.wire.parsing import MAX_FRAME
from tests.wire.conformance.conftest import Conforming

LARGE = json.dumps({"type": "user_message", "content": "x" * MAX_FRAME})
MANY = json.dumps({"type": "user_message", "values": [{"a": [1, 2]}] * 2_500})
USER = '{"type":"user_message","id":"m1",'

# A frame that is refused in each place; `test_protocol.py` has all that is no message.
BAD: list[tuple[str | bytes, str, str]] = [
    ("{", "invalid_message", "not valid JSON"),
    (b"\x00\x01", "invalid_message", "text frame"),
    (LARGE, "invalid_message", "too large"),
    (MANY, "invalid_message", "at most 10,000 are allowed"),
    ('{"type":"ack_message"}', "invalid_message", "sequence"),
    ('{"type":"system_response_message"}', "invalid_message_type", "system_response_message"),
    (f'{USER}"content":"  "}}', "invalid_user_message_content", "empty"),
    (f'{USER}"content":{{"messages":[]}}}}', "invalid_user_message_content", "empty"),
    (f'{USER}"content":{{"messages":[{{"role":"user","content":[{{"type":"image_url"}}]}}]}}}}',
     "invalid_user_message_content", "empty"),
    (json.dumps({"type": "user_message", "content": "x" * 32_001}),
     "invalid_user_message_content", "32,000"),
    (f'{USER}"workflow":"none","content":"x"}}',
     "invalid_data_content", "Offered are"),
    ('{"type":"user_interaction_message","id":"a1"}',
     "invalid_data_content", "exactly one of these: a text in content"),
]  # fmt: skip


async def test_a_bad_message_is_refused_with_the_reason_and_the_socket_stays(
    client: Conforming,
) -> None:
    for text, code, says in BAD:
        await client.send(text)
        error = await client.until("error_message")
        assert (error["content"]["code"], error["status"]) == (code, "complete"), says
        details = error["content"]["details"]
        if error.get("details"):
            assert json.loads(details) == error["details"]
        assert says in error["content"]["message"] + details
        if isinstance(text, str) and text.startswith(USER):
            assert (error["for"], error["parent_id"]) == ("m1", "m1")
    await client.message('echo("alive")')
    assert await client.result() == "alive"


async def test_a_text_may_be_full_of_what_separates_values(client: Conforming) -> None:
    text = ',[{"\\' * 5_000
    await client.message(f"echo({text!r})")
    assert await client.result() == text
