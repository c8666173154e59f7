"""Tests of the audit of assigned prompts: complete, without duplicates, permanent, exportable."""

import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.db import models
from django.test import AsyncClient, Client
from django.utils import timezone

from chat_app.application import WithSocket
from chat_app.identity.api_keys import issue
from chat_app.models import ApiKey
from sessions_app import runs
from sessions_app.interactions import audit
from sessions_app.interactions.answers import answer_together
from sessions_app.lifecycle import retention
from sessions_app.models import AuditEntry, Conversation, Interaction
from sessions_app.models.people import Person, users
from sessions_app.storage import reads
from sessions_app.workflows import group, user
from tests.runtime.assignment.asking import (
    actions,
    answer_to,
    asking_people,
    asks,
    entries,
    give,
    give_over_claims,
    people,
)
from tests.support.hitl import set_hitl
from tests.support.hosting import until

pytestmark = pytest.mark.django_db(transaction=True)

COMMUNICATOR: Any = ApplicationCommunicator  # the class has no type annotations
ADDRESS = "203.0.113.7"
application = WithSocket(ASGIHandler())  # type: ignore[arg-type] # Django names the types otherwise


def connection_from_address(kind: str, path: str, **headers: str) -> Any:
    """Return a request or a socket that comes from ADDRESS."""
    scope_headers = {"host": "testserver", **headers}
    scope = {
        "type": kind,
        "method": "POST",
        "path": path,
        "query_string": b"extended=true",
        "headers": [
            (name.replace("_", "-").encode(), v.encode()) for name, v in scope_headers.items()
        ],
        "client": [ADDRESS, 1],
        "server": ["testserver", 80],
        "scheme": "http" if kind == "http" else "ws",
    }
    return COMMUNICATOR(application, scope)


def key_of(person: Person) -> str:
    row = ApiKey(user_id=person.id, name="tests")
    plain = issue(row)
    row.save()
    return plain


def session_of(person: Person) -> str:
    client = Client()
    client.force_login(users().get(pk=person.id))
    return client.cookies["sessionid"].value


async def answer_over_http(prompt: Interaction, by: Person) -> None:
    path = f"/executions/{prompt.run_id}/interactions/{prompt.pk}/response"
    headers = {"content_type": "application/json", "x_api_key": await reads.read(key_of, by)}
    served = connection_from_address("http", path, **headers)
    body = {"response": {"type": "text", "text": "yes"}}
    await served.send_input({"type": "http.request", "body": json.dumps(body).encode()})
    assert (await served.receive_output(5))["status"] == 204


async def claim_on_a_socket(prompt: Interaction, by: Person) -> None:
    cookie = f"sessionid={await reads.read(session_of, by)}"
    socket = connection_from_address("websocket", "/websocket", cookie=cookie)
    await socket.send_input({"type": "websocket.connect"})
    claim = {"type": "claim_message", "id": "1", "interaction_id": str(prompt.pk)}
    await socket.send_input({"type": "websocket.receive", "text": json.dumps(claim)})
    await until(lambda: len(entries(prompt)) > 1)
    await socket.send_input({"type": "websocket.disconnect", "code": 1001})
    await socket.wait(5)


@pytest.mark.parametrize("door", ["http", "websocket", "together", "python", "admin"])
async def test_who_comes_by_whatever_door_is_in_it_with_their_address(door: str) -> None:
    async with asking_people("boss", to=[user("ann"), user("boss")]) as (hosting, prompt, [boss]):
        # HTTP and WebSocket read the address from the request; the other cases set it.
        known = ADDRESS if door in ("together", "python", "admin") else ""
        token = audit.address.set(lambda: known)
        by = hosting.person if door == "http" else boss
        if door == "http":
            await answer_over_http(prompt, by)
        elif door == "websocket":
            await claim_on_a_socket(prompt, boss)
        elif door == "together":
            together = [answer_to(prompt, via=door)]
            await answer_together(by=boss, conversation_id=None, answers=together)
        elif door == "python":
            await runs.aanswer(prompt.pk, "yes", by=await users().aget(pk=boss.id))
        else:
            await give_over_claims("yes", prompt, boss)
        audit.address.reset(token)
        *_, entry = await reads.read(entries, prompt)
        answered = door != "websocket"
        assert entry.action == ("answered" if answered else "claimed")
        assert (entry.by_name, entry.via, entry.address) == (by.username, door, ADDRESS)
        assert not answered or entry.detail["response"]["value"] == "yes"
        _, next_prompt = await hosting.submit_until_prompt(conversation="c2")
        [open_entry] = await reads.read(entries, next_prompt)
        assert open_entry.address == ""


async def test_showing_an_assigned_prompt_is_recorded_once_for_each_person() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        hosting, prompt, [boss, other] = scene
        asks()
        _, plain = await hosting.submit_until_prompt(conversation="c2")
        for _ in range(2):
            await audit.record_shown([prompt.pk, plain.pk], by=boss, via="page")
        await audit.record_shown([prompt.pk], by=other, via="inbox")
        assert await reads.read(actions, prompt) == [
            *(("opened", ""), ("shown", "boss"), ("shown", "other"))
        ]
        assert await reads.read(actions, plain) == []


@pytest.mark.slow
async def test_pages_record_whom_they_show_a_prompt() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, everybody = scene
        await reads.read(people, "eve")
        names = ("boss", "eve", "other")
        paths = (f"/p/{prompt.pk}/", f"/p/{prompt.pk}/", "/inbox/")
        for name, path in zip(names, paths, strict=True):
            client = AsyncClient()
            await client.aforce_login(await users().aget(username=name))
            for _ in range(2):
                await client.get(path)
        _, *shown_entries = await reads.read(entries, prompt)
        assert [(one.action, one.by, one.via) for one in shown_entries] == [
            ("shown", str(everybody[0].id), "page"),
            ("shown", str(everybody[1].id), "inbox"),
        ]


async def test_entries_are_neither_changed_nor_deleted_and_outlive_all_else(settings: Any) -> None:
    async with asking_people("boss", to=user("boss")) as (hosting, prompt, [boss]):
        await give("yes", prompt, boss)
        await hosting.until_ended(prompt.run_id)

        def try_all() -> None:
            entry = AuditEntry.objects.first()
            assert entry is not None
            rows = AuditEntry.objects.all()
            for change in (
                entry.save,
                entry.delete,
                rows.delete,
                lambda: rows.update(by_name="eve"),
                lambda: rows.bulk_update([entry], ["by_name"]),
            ):
                with pytest.raises(TypeError, match="append-only"):
                    change()
            Conversation.objects.all().delete()
            users().all().delete()

        await reads.read(try_all)
        kept_entries = await reads.read(entries, prompt)
        assert [(one.action, one.by_name, one.by) for one in kept_entries] == [
            ("opened", "", ""),
            ("answered", "boss", str(boss.id)),
        ]
        await retention.clean()
        assert len(await reads.read(entries, prompt)) == 2
        # Bypass the model's guard: only an operator of the database can change an entry's time.
        old: models.QuerySet[AuditEntry] = models.QuerySet(AuditEntry).filter(action="opened")
        await reads.read(lambda: old.update(at=timezone.now() - timedelta(days=11)))
        set_hitl(settings, KEEP_AUDIT_DAYS=10)
        assert await retention.clean() == 1
        assert await reads.read(actions, prompt) == [("answered", "boss")]
