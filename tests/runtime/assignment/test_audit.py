"""What is kept of assigned prompts: all of it, once, for ever, and readable elsewhere."""

import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.management import call_command
from django.db import models
from django.test import AsyncClient, Client
from django.utils import timezone

from chat_app.application import WithSocket
from chat_app.identity.api_keys import issue
from chat_app.models import ApiKey
from sessions_app import runs
from sessions_app.admin import repairs
from sessions_app.interactions import audit, audit_trail
from sessions_app.interactions.answers import IncomingAnswer, answer_together
from sessions_app.lifecycle import retention
from sessions_app.models import AuditEntry, Conversation, Interaction
from sessions_app.models.people import users
from sessions_app.storage import reads
from sessions_app.workflows import TextPrompt, group, user
from tests.runtime.assignment.test_who_may_answer import actions, asks, give, people
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, until

pytestmark = pytest.mark.django_db(transaction=True)

COMMUNICATOR: Any = ApplicationCommunicator  # it has no types
ADDRESS = "203.0.113.7"
application = WithSocket(ASGIHandler())  # type: ignore[arg-type] # Django names the types otherwise


def connected(kind: str, path: str, **headers: str) -> Any:
    """A request or a socket, of ADDRESS."""
    named = {"host": "testserver", **headers}
    scope = {
        "type": kind,
        "method": "POST",
        "path": path,
        "query_string": b"extended=true",
        "headers": [(name.replace("_", "-").encode(), v.encode()) for name, v in named.items()],
        "client": [ADDRESS, 1],
        "server": ["testserver", 80],
        "scheme": "http" if kind == "http" else "ws",
    }
    return COMMUNICATOR(application, scope)


def entries(prompt: Interaction) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(interaction=prompt.pk).order_by("pk"))


def exported(form: str, *args: str) -> str:
    printed = StringIO()
    call_command("export_audit", "--format", form, *args, stdout=printed)
    return printed.getvalue()


async def test_an_answer_over_http_has_its_address() -> None:
    asks(to=[user("ann"), user("boss")])
    async with Hosting("t_assigned") as hosting:
        await reads.read(people, "boss")
        run, prompt = await hosting.prompted()

        def key() -> str:
            row = ApiKey(user_id=hosting.user, name="tests")
            plain = issue(row)
            row.save()
            return plain

        path = f"/executions/{run}/interactions/{prompt.pk}/response"
        headers = {"content_type": "application/json", "x_api_key": await reads.read(key)}
        served = connected("http", path, **headers)
        body = {"response": {"type": "text", "text": "yes"}}
        await served.send_input({"type": "http.request", "body": json.dumps(body).encode()})
        assert (await served.receive_output(5))["status"] == 204
        *_, answered = await reads.read(entries, prompt)
        assert (answered.action, answered.via, answered.address) == ("answered", "http", ADDRESS)


async def test_a_claim_on_a_socket_has_its_address() -> None:
    asks(to=user("boss"))
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        [prompt] = await hosting.prompts(await hosting.submit())

        def session() -> str:
            client = Client()
            client.force_login(users().get(pk=boss.id))
            return client.cookies["sessionid"].value

        cookie = f"sessionid={await reads.read(session)}"
        socket = connected("websocket", "/websocket", cookie=cookie)
        await socket.send_input({"type": "websocket.connect"})
        claim = {"type": "claim_message", "id": "1", "interaction_id": str(prompt.pk)}
        await socket.send_input({"type": "websocket.receive", "text": json.dumps(claim)})
        await until(lambda: len(entries(prompt)) > 1)
        await socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await socket.wait(5)
        opened, claimed = await reads.read(entries, prompt)
        assert (claimed.action, claimed.by_name, claimed.via) == ("claimed", "boss", "websocket")
        assert (opened.address, claimed.address) == ("", ADDRESS)


@pytest.mark.parametrize("how", ["together", "from Python"])
async def test_answers_by_whatever_way_have_their_address(how: str) -> None:
    asks(to=[user("ann"), user("boss")])
    async with Hosting("t_assigned") as hosting:
        await reads.read(people, "boss")
        [prompt] = await hosting.prompts(await hosting.submit())
        token = audit.address.set(lambda: ADDRESS)
        if how == "together":
            given = IncomingAnswer("1", "page", "yes", interaction=str(prompt.pk))
            await answer_together(by=hosting.person, conversation_id="c", answers=[given])
        else:
            await runs.aanswer(prompt.pk, "yes", by=await users().aget(pk=hosting.user))
        audit.address.reset(token)
        *_, answered = await reads.read(entries, prompt)
        assert (answered.action, answered.address) == ("answered", ADDRESS)


async def test_who_was_shown_an_assigned_prompt_is_recorded_once() -> None:
    asks(to=group("managers"))
    async with Hosting("t_assigned") as hosting:
        [boss, other] = await reads.read(people, "boss", "other", to="managers")
        [prompt] = await hosting.prompts(await hosting.submit())
        asks()
        [plain] = await hosting.prompts(await hosting.submit(conversation="c2"))
        for _ in range(2):
            await audit.shown([prompt.pk, plain.pk], by=boss, via="page")
        await audit.shown([prompt.pk], by=other, via="inbox")
        found = await reads.read(actions, prompt)
        assert found == [("opened", ""), ("shown", "boss"), ("shown", "other")]
        assert await reads.read(actions, plain) == []
        derived = await reads.read(audit_trail.of_prompt, plain)
        assert [one.action for one in derived] == ["opened"]


async def test_pages_record_whom_they_show_a_prompt() -> None:
    asks(to=group("managers"))
    async with Hosting("t_assigned") as hosting:
        everybody = await reads.read(people, "boss", "other", to="managers")
        await reads.read(people, "eve")
        [prompt] = await hosting.prompts(await hosting.submit())
        names = ("boss", "eve", "other")
        paths = (f"/p/{prompt.pk}/", f"/p/{prompt.pk}/", "/inbox/")
        for name, path in zip(names, paths, strict=True):
            client = AsyncClient()
            await client.aforce_login(await users().aget(username=name))
            for _ in range(2):
                await client.get(path)
        found = await reads.read(entries, prompt)
        assert [(one.action, one.by, one.via) for one in found[1:]] == [
            ("shown", str(everybody[0].id), "page"),
            ("shown", str(everybody[1].id), "inbox"),
        ]


async def test_entries_are_neither_changed_nor_deleted_and_outlive_all_else(settings: Any) -> None:
    asks(to=user("boss"))
    set_hitl(settings, KEEP_AUDIT_DAYS=10)
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        run, prompt = await hosting.prompted()
        await give("yes", prompt, boss)
        await hosting.ended(run)

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
        left = await reads.read(entries, prompt)
        assert [(one.action, one.by_name, one.by) for one in left] == [
            ("opened", "", ""),
            ("answered", "boss", str(boss.id)),
        ]
        await retention.clean()
        assert len(await reads.read(entries, prompt)) == 2
        # As an operator of the database can, and nobody else.
        old: models.QuerySet[AuditEntry] = models.QuerySet(AuditEntry).filter(action="opened")
        await reads.read(lambda: old.update(at=timezone.now() - timedelta(days=11)))
        assert await retention.clean() == 1
        assert [one.action for one in await reads.read(entries, prompt)] == ["answered"]


async def test_an_operators_answer_is_in_it() -> None:
    asks(to=user("boss"))
    async with Hosting("t_assigned") as hosting:
        await reads.read(people, "boss")
        [eve] = await reads.read(people, "eve")
        [prompt] = await hosting.prompts(await hosting.submit())
        await hosting.in_thread(repairs.answer, prompt.pk, person=eve, given="no")
        *_, answered = await reads.read(entries, prompt)
        assert (answered.by_name, answered.via) == ("eve", "admin")
        assert answered.detail["response"]["value"] == "no"


async def test_it_is_exported_with_the_plain_prompts_in_order() -> None:
    asks(to=user("boss"))
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        [first] = await hosting.prompts(await hosting.submit())
        asks(TextPrompt(text="=1+1\nPlain?"))
        [plain] = await hosting.prompts(await hosting.submit(conversation="c2"))
        await give("yes", first, boss)
        await give("\uff1dHYPERLINK(1)", plain, hosting.person)

        lines = (await reads.read(exported, "jsonl")).splitlines()
        told = [json.loads(line) for line in lines]
        assert [(one["action"], one["by_name"], one["interaction"]) for one in told] == [
            ("opened", "", str(first.pk)),
            ("opened", "", str(plain.pk)),
            ("answered", "boss", str(first.pk)),
            ("answered", "ann", str(plain.pk)),
        ]
        assert told[3]["detail"] == {"response": {"value": "\uff1dHYPERLINK(1)"}}
        rows = list(csv.DictReader(StringIO(await reads.read(exported, "csv"))))
        assert [row["question"] for row in rows][1] == "'=1+1"  # no formula
        assert [row["action"] for row in rows] == [one["action"] for one in told]
        assert await reads.read(exported, "jsonl", "--workflow", "another") == ""
        later = (timezone.now() + timedelta(hours=1)).isoformat()
        assert await reads.read(exported, "jsonl", "--since", later) == ""
        assert await reads.read(exported, "jsonl", "--until", later) == "\n".join(lines) + "\n"


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1", "  =1", "\uff1d1", "\r1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    entry = AuditEntry(question=cell, at=timezone.now(), detail={})
    [row] = csv.DictReader(StringIO("".join(audit_trail.as_csv([entry])), newline=""))
    assert row["question"] == f"'{cell}"
