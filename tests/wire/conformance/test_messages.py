"""Every message type, from raw JSON, with our additions and without."""

from typing import Any

import pytest

from tests.support.received_frames import Frame
from tests.support.server import Server
from tests.wire.conformance.conftest import CLIENT_MESSAGE, Conforming, answer

PLAIN = {
    "type": "user_message",
    "schema_type": "chat_stream",
    "content": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "stream(tokens=3)"}]}],
    },
    "user": {"name": "default", "email": "default"},
    "security": {},
    "error": {"code": "unknown_error", "message": "default", "details": "default"},
    "schema_version": "1.0.0",
    "timestamp": "2026-01-13T10:00:03Z",
    "unheard-of": [1, {"a": None}],
}


def answers(client: Conforming) -> list[Frame]:
    return client.of_type("system_response_message")


@pytest.mark.parametrize(
    ("schema_type", "expected"),
    [
        ("chat_stream", [{"text": "t0 "}, {"text": "t1 "}, {"text": "t2 "}, {"text": ""}]),
        ("chat", [{"text": "t0 t1 t2 "}, {"text": ""}]),
        ("generate", [{"text": t, "output": t, "value": t} for t in ("t0 t1 t2 ", "")]),
        (
            "generate_stream",
            [{"text": t, "output": t, "value": t} for t in ("t0 ", "t1 ", "t2 ", "")],
        ),
    ],
)
async def test_each_schema_type_gets_its_form_of_output(
    client: Conforming, schema_type: str, expected: list[Any]
) -> None:
    frame = {**PLAIN, "id": "m1", "schema_type": schema_type}
    CLIENT_MESSAGE.validate(frame)
    await client.send(frame)
    await client.until_ended()
    outputs = answers(client)
    pieces = "".join(
        frame["content"].get("text", frame["content"].get("value")) for frame in outputs
    )
    assert pieces == "t0 t1 t2 "
    if schema_type in ("chat", "generate"):
        assert [frame["content"] for frame in outputs] == expected
    assert set(outputs[0]["content"]) == set(expected[0])
    assert outputs[-1]["content"] == expected[-1]
    assert [frame["status"] for frame in outputs[-2:]] == ["in_progress", "complete"]
    assert {frame["parent_id"] for frame in outputs} == {"m1"}
    assert {frame["conversation_id"] for frame in outputs} == {client.conversation_id}


CONTENTS: list[Any] = [
    'echo("plain")',
    {"messages": [{"role": "user", "content": 'echo("plain")'}]},
    {"messages": [{"content": [{"text": 'echo("plain")'}]}]},
    {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": 'echo("this was before")'},
            {
                "role": "user",
                "name": "Ann",
                "content": [
                    {"type": "text", "text": "not this"},
                    {"type": "text", "text": 'echo("plain")', "cache": True},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                    {"type": "input_audio", "text": {"odd": 1}},
                ],
            },
            {"role": "assistant", "content": ""},
        ],
        "temperature": 0.2,
    },
]


async def test_content_is_taken_in_the_forms_that_clients_use(client: Conforming) -> None:
    for content in CONTENTS:
        await client.send({"type": "user_message", "content": content})
        await client.until_ended()
    assert client.text() == "plain" * len(CONTENTS)


async def test_a_client_that_gives_no_ids_is_served_each_time(shared: Server) -> None:
    async with Conforming(shared, workflow="probe") as client:
        for fields in ({}, {"id": "default"}, {"id": ""}, {"id": None}):
            for text in ('echo("one")', 'echo("two")'):
                await client.send({"type": "user_message", "content": text, **fields})
                await client.until_ended()
        await client.message_until_prompt("ask()", conversation_id=None)
        await client.send(answer("Ada"))
        await client.until_ended()
        assert client.text() == "onetwo" * 4 + "Ada"
        (conversation,) = {frame["conversation_id"] for frame in answers(client)}
        assert conversation


async def test_a_run_says_its_trace_and_takes_that_of_the_request(shared: Server) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    async with Conforming(shared, "traced", workflow="probe", headers=headers) as client:
        await client.message('echo("x")', message_id="m1")
        frame = await client.until("observability_trace_message")
        assert frame["content"] == {"observability_trace_id": trace}
        assert frame["parent_id"] == "m1"
    async with Conforming(shared, "untraced", workflow="probe") as client:
        await client.message('echo("x")')
        own = (await client.until("observability_trace_message"))["content"]
        assert len(bytes.fromhex(own["observability_trace_id"])) == 16


async def test_an_oauth_mode_preference_is_accepted_in_silence(client: Conforming) -> None:
    by_auth = {
        "type": "auth_message",
        "payload": {"method": "oauth_mode_preference", "mode": "popup"},
    }
    frames: list[Frame] = [
        *({"use_redirect": True}, {"mode": "popup"}, {"payload": {"mode": 1}}, {}, by_auth)
    ]
    for frame in frames:
        await client.send({"type": "oauth_mode_preference", **frame})
        await client.send({"type": "ping_message", "id": "p"})
        pong = await client.until(lambda frame: True)
        assert (pong["type"], pong["for"]) == ("pong_message", "p"), frame


async def test_a_stop_of_an_unknown_run_is_not_found(client: Conforming) -> None:
    await client.message_until_prompt("ask()")
    for run in ("9f0c2a52-9d4e-4a57-9d6f-0a2a3b1f0c11", "no uuid"):
        await client.send({"type": "stop_message", "id": run, "run_id": run})
        assert (await client.reply_to(run))["outcome"] == "not_found"


async def test_acknowledgements_are_taken_and_not_answered(client: Conforming) -> None:
    message_id = await client.message("stream(tokens=400)")
    while not client.of_type("run_update_message") or (
        client.of_type("run_update_message")[-1]["status"] != "complete"
    ):
        frame = await client.until(lambda frame: "sequence" in frame)
        await client.send({"type": "ack_message", "sequence": frame["sequence"]})
    assert client.text() == "".join(f"t{n} " for n in range(400))
    assert (await client.reply_to(message_id))["type"] == "ack_message"
    await client.send({"type": "ping_message"})
    await client.until("pong_message")
    assert len(client.of_type("ack_message")) == 1
