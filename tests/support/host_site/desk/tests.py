"""The project's own tests, which `manage.py test` and pytest run: some of them get chat pages."""

from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import LiveServerTestCase, TestCase, TransactionTestCase
from django.urls import reverse
from django.utils import timezone

from chat_app.asgi import get_asgi_application
from chat_app.identity.api_keys import issue
from chat_app.models import ApiKey
from sessions_app import runs
from sessions_app.models import Run

CONVERSATION = "c1"


class OwnTests(TestCase):
    """Tests of pages and rows that are not of the chat."""

    def test_an_own_page(self) -> None:
        assert self.client.get("/accounts/login/").status_code == 200

    def test_an_own_row(self) -> None:
        User.objects.create_user("ben")
        assert User.objects.count() == 1


class OtherOwnTests(OwnTests):
    """The same tests once more, for another process."""


class Chatting:
    """Tests that use the chat, of any class of Django's tests."""

    client: Any
    async_client: Any
    ann: User

    def setUp(self) -> None:
        assert not Run.objects.exists()
        self.ann = User.objects.create_user("ann", is_staff=True, is_superuser=True)
        self.client.force_login(self.ann)

    def test_a_page(self) -> None:
        page = self.client.get(reverse("chat:inbox"))
        assert page.status_code == 200, page.content
        assert "ann" in page.content.decode()

    def test_a_message_by_the_form_of_a_page(self) -> None:
        url = reverse("chat:conversation", args=[CONVERSATION])
        fields = {"text": "Good morning", "workflow": "greeting", "message_id": "m1"}
        answer = self.client.post(reverse("chat:send", args=[CONVERSATION]), fields)
        assert answer.status_code == 303, answer.status_code
        assert Run.objects.get().status == Run.Status.QUEUED
        assert "Good morning" in self.client.get(url).content.decode()

    def test_a_run_that_code_starts(self) -> None:
        run = runs.start("greeting", "Hello", user=self.ann, conversation=CONVERSATION)
        assert Run.objects.get().pk == run
        page = self.client.get(reverse("chat:conversation", args=[CONVERSATION]))
        assert "Hello" in page.content.decode()

    def test_a_repair_in_the_admin(self) -> None:
        run = runs.start("greeting", "Hello", user=self.ann)
        page = self.client.get(f"/admin/sessions_app/run/{run}/change/")
        assert page.status_code == 200, page.content

    def test_a_request_of_a_program(self) -> None:
        row = ApiKey(user=self.ann, name="a program", created_at=timezone.now())
        headers = {"Authorization": f"Bearer {issue(row)}"}
        row.save()
        for client in (self.client, self.async_client):
            post = async_to_sync(client.post) if client is self.async_client else client.post
            answer = post(
                "/assistant/generate?workflow=echo",
                {"input_message": "Hello"},
                content_type="application/json",
                headers=headers,
            )
            # The message is stored, and there is nobody to wait for.
            assert answer.status_code == 503, answer.content
            assert "host_workflow" in answer.content.decode()
        assert Run.objects.count() == 2
        inbox = self.client.get("/assistant/v1/inbox", headers=headers)
        assert inbox.json()["prompts"] == []

    async def test_nobody_waits_for_a_run_that_no_host_executes(self) -> None:
        run = await runs.astart("greeting", "Hello", user=self.ann)
        with pytest.raises(RuntimeError, match="host_workflow"):
            await runs.aresult(run)

    async def test_a_coroutine(self) -> None:
        await self.async_client.aforce_login(self.ann)
        page = await self.async_client.get(reverse("chat:inbox"))
        assert page.status_code == 200, page.content
        run = await runs.astart("greeting", "Hello", user=self.ann)
        assert await Run.objects.filter(pk=run).aexists()

    async def test_a_socket(self) -> None:
        await self.async_client.aforce_login(self.ann)
        cookie = self.async_client.cookies["sessionid"].value
        path = f"{reverse('chat:socket')}?extended=true&conversation_id={CONVERSATION}"
        headers = {"cookie": f"sessionid={cookie}", "origin": "http://site", "host": "site"}
        socket = WebsocketCommunicator(
            get_asgi_application(),
            path,
            [(name.encode(), text.encode()) for name, text in headers.items()],
        )
        connected, _ = await socket.connect(timeout=10)
        assert connected
        content = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}
        message = {"type": "user_message", "schema_type": "chat_stream", "id": "m1"}
        await socket.send_json_to(
            {**message, "conversation_id": CONVERSATION, "content": content, "workflow": "greeting"}
        )
        while (await socket.receive_json_from(timeout=10))["type"] != "ack_message":
            pass
        assert await Run.objects.filter(message_id="m1").aexists()
        await socket.disconnect()


class InTransaction(Chatting, TestCase):
    """Tests that Django rolls back."""


class Committing(Chatting, TransactionTestCase):
    """Tests whose rows are committed."""


class Served(LiveServerTestCase):
    """Tests with a server in a thread."""

    def test_a_page(self) -> None:
        self.client.force_login(User.objects.create_user("ann"))
        cookie = self.client.cookies["sessionid"].value
        url = reverse("chat:inbox")
        for _ in range(3):
            with closing(HTTPConnection(urlsplit(self.live_server_url).netloc)) as connection:
                connection.request("GET", url, headers={"Cookie": f"sessionid={cookie}"})
                page = connection.getresponse()
                assert page.status == 200
                assert "ann" in page.read().decode()
