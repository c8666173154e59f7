"""The webhook: signed, tried again, the same id each time."""

import asyncio
import hmac
import json
import socket
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator
from hashlib import sha256
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.error import HTTPError

import pytest
from django.utils import timezone

from chat_app.contrib.notifications import notices, webhook
from sessions_app import runs
from sessions_app.contrib.operations import repairs
from sessions_app.lifecycle import retention
from sessions_app.models import PendingSignal
from sessions_app.runs import requests
from sessions_app.signals import SIGNALS
from sessions_app.signals.delivery import send_due
from sessions_app.storage import reads
from sessions_app.workflows import Context, Escalation, Message, TextPrompt, user, workflow
from tests.contrib.notifications.test_mail import time_passes
from tests.contrib.operations.administrator import Operator
from tests.runtime.assignment.asking import asking_people, change
from tests.support.hitl import set_hitl
from tests.support.hosting import asking, django_user

LISTS = "/admin/sessions_app/"
pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_webhook", title="Webhook")
async def asks(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield (await context.ask(TextPrompt(text="Name?\nA secret.", details={"secret": "x"}))).text


class Receiver(BaseHTTPRequestHandler):
    """Keeps what comes, and answers what the test says."""

    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []
    statuses: ClassVar[list[int]] = []
    leads_to = ""

    def do_GET(self) -> None:
        self.got.append(({name.lower(): v for name, v in self.headers.items()}, b"GET"))
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append(({name.lower(): v for name, v in self.headers.items()}, body))
        self.send_response(self.statuses.pop(0) if self.statuses else 204)
        if self.leads_to:
            self.send_header("location", self.leads_to)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def receiver(settings: Any) -> Iterator[type[Receiver]]:
    Receiver.got, Receiver.statuses = [], []
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    set_hitl(
        settings,
        WEBHOOK_URL=f"http://127.0.0.1:{server.server_port}/hook",
        WEBHOOK_SECRET="a secret",
        PUBLIC_URL="https://chat.example.org",
    )
    notices.connect()
    yield Receiver
    server.shutdown()
    server.server_close()


async def test_webhooks_are_signed_and_retried_after_a_refusal(receiver: type[Receiver]) -> None:
    receiver.statuses = [500]
    async with asking("t_webhook") as (hosting, run, prompt):
        await time_passes()
        (refused_headers, _), (headers, body) = receiver.got
        assert refused_headers["webhook-id"] == headers["webhook-id"]
        payload = json.loads(body)
        assert payload["type"] == "prompt.opened"
        assert (payload["data"]["question"], payload["data"]["status"]) == ("Name?", "pending")
        assert payload["data"]["url"] == f"https://chat.example.org/p/{prompt.pk}/"
        assert b"secret" not in body
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = b64encode(hmac.digest(b"a secret", signed, sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
        await hosting.complete(run, "Eve", prompt)
        await time_passes()
        assert json.loads(receiver.got[-1][1])["type"] == "prompt.settled"
        assert len(receiver.got) == 3


async def test_each_reminder_and_change_has_an_id_of_its_own_and_keeps_it_when_it_is_told_again(
    receiver: type[Receiver],
) -> None:
    later = Escalation(3600, user("dora"))
    how: dict[str, Any] = {"escalate": later, "due": 3600, "remind": [600, 60]}
    async with asking_people("boss", "chef", "dora", to=user("boss"), **how) as scene:
        _, prompt, [boss, chef, _] = scene
        await time_passes()
        receiver.got.clear()
        reminders = PendingSignal.objects.filter(name="interaction_due_soon")
        await reminders.aupdate(due_at=timezone.now())
        await time_passes()
        assert {json.loads(body)["type"] for _, body in receiver.got} == {"prompt.due_soon"}
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2
        receiver.got.clear()
        receiver.statuses = [500]
        for by, to in ((boss, "chef"), (chef, "boss"), (boss, "chef")):
            await change("delegate", prompt, by, to=to)
        to_chef = [user("chef")]
        await runs.areassign(prompt.pk, to=to_chef, by=django_user(boss))
        await requests.aescalate(prompt.pk, by=django_user(boss))
        await time_passes()
        assert {json.loads(body)["type"] for _, body in receiver.got} == {"prompt.assigned"}
        ids = [headers["webhook-id"] for headers, _ in receiver.got]
        assert (len(ids), len(set(ids))) == (6, 5)


async def test_an_event_that_is_told_again_after_the_answer_keeps_its_id(
    receiver: type[Receiver],
) -> None:
    async with asking("t_webhook") as (hosting, run, prompt):
        opened = await PendingSignal.objects.aget(name="interaction_opened")
        await time_passes()
        await hosting.complete(run, "Eve", prompt)
        settled = await PendingSignal.objects.aget(name="interaction_settled")
        await time_passes()
        # As after a crash that came before their deletion.
        await PendingSignal.objects.abulk_create([opened, settled])
        await time_passes()
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert (len(ids), len(set(ids))) == (4, 2)


@pytest.mark.slow
async def test_operators_see_what_went_out_and_what_failed_and_send_it_again(
    receiver: type[Receiver],
) -> None:
    operator = await Operator().signed_in()
    receiver.statuses = [500, 500]
    async with asking("t_webhook") as (_, run, prompt):
        while await send_due():
            pass
        notice = await reads.read(PendingSignal.objects.get)
        pages = (
            f"{LISTS}interaction/{prompt.pk}/change/",
            f"{LISTS}pendingsignal/{notice.pk}/change/",
            f"{LISTS}pendingsignal/?state=failing&kind=webhook",
        )
        for page in pages:
            html = await operator.get(page)
            assert "webhook: asked" in html, page
            assert "failed, is tried again" in html, page
            assert "HTTP Error 500" in html, page
        assert "given up" in await operator.act("pendingsignal", "give_up", notice)
        assert not await send_due()
        assert "state=given_up" in await operator.get(f"{LISTS}run/{run}/change/")
        rows = (await operator.act("pendingsignal", "send_again", notice)).partition("<tbody>")[2]
        assert "is being sent" in rows
        assert "HTTP Error 500" not in rows
        await time_passes()
        assert (len(receiver.got), receiver.statuses) == (3, [])
        run_page = await operator.get(f"{LISTS}run/{run}/change/")
        assert f"?run__id__exact={run}&state=sent" in run_page
        for action in ("give_up", "send_again"):
            await operator.act("pendingsignal", action, notice)
        assert not await send_due()
        sent = PendingSignal.objects.filter(outcome="sent", due_at=None)
        long_ago = timezone.now() - retention.NOTICES_KEPT
        await retention.clean()
        assert await reads.read(sent.count) == 1
        await reads.read(lambda: sent.update(settled_at=long_ago))
        await retention.clean()
        assert await reads.read(sent.count) == 0


async def test_a_webhook_given_up_while_it_is_tried_is_not_tried_again() -> None:
    def give_up_and_fail(**_: Any) -> None:
        repairs.give_up(PendingSignal.objects.get(name=PendingSignal.NOTICE).pk)
        raise OSError("nobody answers")

    SIGNALS[PendingSignal.NOTICE].connect(give_up_and_fail)
    async with asking("t_webhook"):
        while await send_due():
            pass
        assert (await reads.read(PendingSignal.objects.get)).due_at is None


async def test_a_redirect_is_a_refusal_that_is_not_followed_and_a_refusal_ends_its_connection(
    receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = [301, 302, 303, 307, 308, 500]
    async with asking("t_webhook") as (_, _, prompt):
        for leads_to in ("/latest/meta-data/", "http://["):
            monkeypatch.setattr(receiver, "leads_to", leads_to)
            receiver.statuses = list(statuses)
            for status in statuses:
                with pytest.raises(HTTPError) as refused:
                    await asyncio.to_thread(webhook.post, prompt, "prompt.opened", "1", 0)
                assert (refused.value.code, refused.value.fp.closed) == (status, True)
    assert len(receiver.got) == 2 * len(statuses)
    assert b"GET" not in [body for _, body in receiver.got]


async def test_a_receiver_without_http_is_retried_then_given_up(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            for _ in range(2):
                connection, _address = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"what?\r\n\r\n")

        threading.Thread(target=babble, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        set_hitl(settings, WEBHOOK_URL=url, WEBHOOK_SECRET="s", PUBLIC_URL="https://x.example")
        async with asking("t_webhook") as (hosting, _, prompt):
            with pytest.raises(HTTPException):
                await hosting.in_thread(lambda: webhook.post(prompt, "prompt.opened", "1", 0))
            last = webhook.TRIES
            await hosting.in_thread(lambda: webhook.post(prompt, "prompt.opened", "1", last))
