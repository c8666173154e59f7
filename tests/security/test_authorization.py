"""Tests of each door as each person: who is let in, and that nobody is sent what is another's."""

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from chat_app.wire.client_messages import MESSAGES
from tests.conftest import NewServer
from tests.http.client import chat
from tests.security import doors
from tests.security.doors import Door
from tests.security.people import CONVERSATION, SECRET, Scene, set_the_scene
from tests.support.server import Response
from tests.support.websocket import WsClient

pytestmark = pytest.mark.formless  # who may does not depend on where rows are

IN = frozenset({"owner", "other", "superuser", "staff", "viewer", "operator"})
KNOWN = IN | {"guest", "key of ann", "key of ben"}
OWNER = frozenset({"owner", "key of ann"})
STAFF = frozenset({"superuser", "staff", "viewer", "operator"})
VIEWERS = STAFF - {"staff"}
# There the admin's overview says what waits, to whoever may view the prompts.
OPERATORS = frozenset({"superuser", "operator"})
WITH_SESSION_ONLY = re.compile(r"^/(c/.*)?$|^/conversations/|^/inbox/|^/p/|^/admin|^/sign-out/")
# Where everybody changes something of their own, which would change what the next door says.
LAST = ("/c/<conversation_id>/messages/", "/sign-out/", "/admin/logout/")
# Addresses of a run, and of what belongs to one.
OF_A_RUN = re.compile("<(run|execution_id|interaction|interaction_id|file)>")
# Refusals of Django and of ours: sign in, or it is not for you, or it is not there.
REFUSED = (401, 403, 404)
BODY: dict[str, Any] = {"input_message": 'echo("1")', "response": {"type": "text", "text": "mine"}}
BODY |= chat('echo("1")') | {"position": 99}
PROVIDER = {"title": "Notes", "client_id": "x", "metadata_url": "https://id.example/"}
PROVIDERS = {"notes": PROVIDER}
FORM = "text=echo+1&value=mine&version=1"


def let_in(audience: str, people: set[str]) -> set[str]:
    """Return the people that the words of the document let in."""
    return (
        people
        & {
            "everyone": people,
            "nobody": set(),
            "holders of the URL": set(),
            "signed in": IN,
            "known": KNOWN,
            "owner": OWNER,
            "owner with a session": OWNER & IN,
            "who may see the prompt": OWNER & IN,
            "who may see the prompt, with a key too": OWNER,
            "who may answer the prompt": OWNER & IN,
            "who may answer the prompt, with a key too": OWNER,
            "staff": STAFF,
            "staff who may view hosts": VIEWERS,
            "staff who may change runs": OPERATORS,
            "staff who may view something of it": VIEWERS,
            "staff who may view what is searched": VIEWERS,
        }[audience]
    )


def knock(scene: Scene, person: str, door: Door, method: str) -> Response:
    """Ask for what is ann's."""
    path = re.sub(r"<(\w+)>", lambda match: scene.names.get(match[1], "0"), door.path)
    http = scene.http(person)
    if method == "GET":
        return http.get(path)
    if method == "DELETE":
        return http.delete(path)
    if WITH_SESSION_ONLY.match(door.path) or door.path.endswith("/login/"):
        return http.post(path, FORM, content_type="application/x-www-form-urlencoded")
    return http.post(path, BODY, conversation_id=CONVERSATION)


def was_let_in(door: Door, answer: Response) -> bool:
    """Return whether the door opened, whatever was behind it."""
    to = answer.headers.get("location", "")
    sent_to_sign_in = door.audience != "everyone" and ("/sign-in/?" in to or "/login/?" in to)
    return answer.status not in REFUSED and not sent_to_sign_in


@pytest.fixture
def scene(new_server: NewServer) -> Scene:
    """Everybody, on a server that lets guests in, and offers mail and accounts elsewhere."""
    site = {
        "PUBLIC_URL": "https://chat.example",
        "OAUTH_PROVIDERS": json.dumps(PROVIDERS),
        "BRAND": json.dumps({"accent": "#6b21a8"}),
    }
    return set_the_scene(new_server(GUESTS="true", MAIL="off", **site))


@pytest.mark.slow
@pytest.mark.timeout(400)  # a thousand requests, of everybody at each door
def test_each_door_opens_to_whom_the_document_says_and_shows_nothing_of_others(
    scene: Scene,
) -> None:
    before = scene.hers()
    wrong, secret_doors = [], set()
    strangers = [person for person in scene.people if person not in OWNER]
    rows = sorted(doors.documented_doors(), key=lambda door: door.path in LAST)
    assert len(rows) > 30
    for door in rows:
        if "<object_id>" in door.path or "autocomplete" in door.path:
            continue  # they take what only the admin's own pages say
        for method in door.methods:
            for person in strangers:
                answer = knock(scene, person, door, method)
                expected = person in let_in(door.audience, set(scene.people))
                if was_let_in(door, answer) != expected:
                    wrong.append((person, method, door.path, answer.status))
                if SECRET in answer.text or scene.stop["prompt"]["text"] in answer.text:
                    secret_doors.add((person, method, door.path))
    assert wrong == []
    assert secret_doors == set()
    assert scene.hers() == before

    for door in rows:
        if (
            door.audience in ("owner", "owner with a session", "signed in")
            and "GET" in door.methods
            and "<nonce>" not in door.path  # of a prompt that only tests/contrib/oauth has
        ):
            for person in OWNER & let_in(door.audience, set(scene.people)):
                answer = knock(scene, person, door, "GET")
                assert was_let_in(door, answer), door.path
    page = scene.http("owner").get(f"/c/{CONVERSATION}/")
    assert SECRET in page.text
    assert scene.http("key of ann").get(scene.stop["status_url"]).json()["prompt"]


@pytest.mark.slow
def test_a_cursor_into_another_users_log_is_404(scene: Scene) -> None:
    for path in ("/generate/stream", "/chat/stream", "/v1/chat/completions"):
        body = BODY | {"stream": True}
        headers: dict[str, Any] = {"conversation_id": CONVERSATION, "last_event_id": "1"}
        for person in KNOWN - OWNER:
            answer = scene.http(person).post(path, body, **headers)
            assert (answer.status, SECRET in answer.text) == (404, False), person


@pytest.mark.slow
def test_a_conversation_of_the_same_name_opens_no_door_to_anothers(scene: Scene) -> None:
    ben = scene.http("other")
    ben.post("/generate", {"input_message": 'echo("his")'}, conversation_id=CONVERSATION)
    before = scene.hers()
    for query in ("branch", "edit"):
        page = ben.get(f"/c/{CONVERSATION}/?{query}={scene.names['run']}")
        assert (page.status, SECRET in page.text) == (200, False), query
    headers = {"conversation_id": CONVERSATION, "last_event_id": str(before[0]["last_sequence"])}
    assert ben.post("/generate/stream", BODY, **headers).status == 404  # his log is shorter
    rows = doors.documented_doors()
    for door in sorted(rows, key=lambda door: (door.path in LAST, "delete" in door.path)):
        for method in door.methods:
            answer = knock(scene, "other", door, method)
            assert SECRET not in answer.text, (method, door.path)
            if OF_A_RUN.search(door.path):
                assert not was_let_in(door, answer), (method, door.path)
    assert scene.hers() == before


@pytest.mark.slow
async def test_a_socket_on_one_of_the_same_name_reaches_nothing_of_anothers(scene: Scene) -> None:
    before = await asyncio.to_thread(scene.hers)
    run = scene.names["run"]
    async with WsClient(scene.server, CONVERSATION, user="ben", last_sequence=0) as client:
        await client.message('echo("his")')
        await client.until("ack_message")
        for frame in frames(scene):
            await client.send(frame)
        for name in ("replaces", "follows"):
            await client.message('echo("his")', message_id=name, **{name: run})
            reply = await client.reply_to(name)
            assert reply["type"] == "error_message"
    async with WsClient(scene.server, CONVERSATION, user="ben", last_sequence=0) as client:
        await client.until(lambda frame: "his" in str(frame.get("content")))
        await client.send({"type": "ping_message", "id": "last"})
        await client.until(lambda frame: frame.get("for") == "last")
        assert SECRET not in str(client.frames)
    assert await asyncio.to_thread(scene.hers) == before


def frames(scene: Scene) -> list[dict[str, Any]]:
    """Return a message of each type, with all that is ann's named in it."""
    prompt_id, run = scene.stop["interaction_id"], scene.stop["execution_id"]
    common = {"conversation_id": CONVERSATION, "interaction_id": prompt_id, "run_id": run}
    common |= {"thread_id": prompt_id, "parent_id": prompt_id, "sequence": 1, "schema_type": "chat"}
    payload = {"method": "basic", "username": "ann", "password": ""}
    return [
        {**common, "id": name, "type": name, "content": chat('echo("1")'), "payload": payload}
        for name in MESSAGES
    ]


@pytest.mark.slow
async def test_no_message_of_a_socket_reaches_what_is_anothers(scene: Scene) -> None:
    before = await asyncio.to_thread(scene.hers)
    for person in scene.people.keys() - OWNER:
        headers = {name: v for name, v in scene.people[person].items() if name != "x-csrftoken"}
        for after in (0, None) if person in KNOWN else (0,):
            async with WsClient(
                scene.server, CONVERSATION, user=None, headers=headers, last_sequence=after
            ) as client:
                if person in KNOWN:
                    for frame in frames(scene):
                        await client.send(frame)
                    await client.send({"type": "ping_message", "id": "last"})
                    await client.until(lambda frame: frame.get("for") == "last")
                else:
                    with suppress(ConnectionClosed):  # at once, for wrong credentials
                        await client.send(frames(scene)[0])
                    assert await client.until_closed() in (4401, 4403), person
                received_text = str(client.frames)
                assert SECRET not in received_text, person
                assert scene.stop["prompt"]["text"] not in received_text, person
                outcomes = {ack["for"]: ack["outcome"] for ack in client.of_type("ack_message")}
                for name in ("user_interaction_message", "claim_message", "stop_message"):
                    assert outcomes.get(name, "not_found") == "not_found", person
    assert await asyncio.to_thread(scene.hers) == before

    owner = {"cookie": scene.people["owner"]["cookie"]}
    async with WsClient(
        scene.server, CONVERSATION, user=None, headers=owner, last_sequence=0
    ) as client:
        await client.until("system_interaction_message")
        assert SECRET in str(client.frames)
