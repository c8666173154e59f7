"""Text that no database stores, or that means something in a path, at every door."""

import json
from html import unescape
from typing import Any

import pytest

from tests.hostile.attack.entries import entries
from tests.http.client import Http
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form(reason="the other database takes other texts")

NUL = "a\0b"
STORED = "a\ufffdb"


@pytest.mark.slow
@pytest.mark.every_form("the other database takes other texts", at_each_change=False)
async def test_a_conversation_of_any_name_has_its_pages(server: Server) -> None:
    http = Http(server, workflow=None)
    for name in entries("names").values():
        async with WsClient(server, name, workflow="probe") as client:
            await client.message_until_prompt("ask()")
            location = http.get("/").headers["Location"]
            page = http.get(location)
            assert page.status == 200, name
            assert f'data-conversation="{name}"' in unescape(page.text)
            assert "prompt-1" in http.get(f"{location}items/").text, name
            assert http.post(f"{location}stop/", "").headers["Location"] == location
            await client.until_ended("cancelled")


def test_a_nul_in_an_address_or_a_cookie_is_refused(shared: Server) -> None:
    admin = Http(shared, user="admin", workflow=None)
    for path in ("/c/a%00b/", "/?q=%00", "/c/x/?q=a%00b", "/admin/?q=%00", "/generate?x=%00"):
        answer = admin.get(path)
        assert (answer.status, "NUL" in answer.text) == (400, True), path
    # As it is, no HTTP parser takes it.
    for cookie in ('sessionid="\\000abcdefgh"', 'other=x; sessionid="abcdefgh\\000"'):
        anonymous = Http(shared, user=None, headers={"cookie": cookie}, workflow=None)
        assert anonymous.get("/").status == 400, cookie


def test_a_form_with_a_nul_is_refused_with_a_reason(shared: Server) -> None:
    http = Http(shared, workflow=None)
    for field in ("text", "message_id", "workflow"):
        form = {"text": 'echo("")', "message_id": "m1", "workflow": "probe", field: NUL}
        answer = http.form("/c/c1/messages/", form)
        assert (answer.status, "cannot be stored" in answer.text) == (422, True), field


async def test_an_answer_in_a_form_with_a_nul_is_refused_and_may_be_given_again(
    shared: Server,
) -> None:
    async with WsClient(shared, "answered", workflow="probe") as client:
        prompt = await client.message_until_prompt("ask()")
        path = f"/c/answered/prompts/{prompt['id']}/"
        http = Http(shared, workflow=None)
        response = http.form(path, {"value": NUL})
        assert response.status == 422
        assert "cannot be stored" in response.text
        assert http.form(path, {"value": "ok"}).status == 303
        await client.until_ended("completed")
        assert client.text() == "ok"


async def test_a_nul_in_a_socket_message_is_no_failure(shared: Server) -> None:
    odd: dict[str, Any] = {"workflow": "probe", "odd\0": NUL, "session": NUL}
    async with WsClient(shared, "odd", **odd) as client:
        await client.message('echo("hello")')
        await client.until_ended("completed")
        assert client.text() == "hello"


@pytest.mark.slow
async def test_unstorable_text_of_a_workflow_is_replaced_or_named(
    shared: Server,
) -> None:
    ends = {"say": "completed", "show": "completed", "raise": "failed"}
    ends |= {"step": "suspended", "title": "completed"}
    for character in ("nul", "surrogate"):
        for way, status in ends.items():
            name = f"{way} {character}"
            async with WsClient(shared, name, workflow="probe") as client:
                await client.message(f'use_unstorable_text(way="{way}", kind="{character}")')
                await client.until_ended(status)
                frames_text = json.dumps(client.frames)
                assert "u0000" not in frames_text
                assert "ud800" not in frames_text
                if way in ("say", "show", "title"):
                    assert client.text() == STORED
            page = Http(shared, workflow=None).get(f"/c/{way}%20{character}/")
            assert page.status == 200, name
            assert "died" not in page.text
            assert ("This is paused" in page.text) == (way == "step")
