"""An administrator who operates hosted runs in the admin."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import AsyncClient, Client

from sessions_app.storage import reads
from tests.support.hosting import Hosting


class Operator:
    """An administrator with a browser. Its requests run in a thread, as the server's do."""

    def __init__(self) -> None:
        self._client = Client()

    async def signed_in(self) -> "Operator":
        user = await reads.read(User.objects.create_superuser, "boss")
        await asyncio.to_thread(self._client.force_login, user)
        return self

    async def act(self, model: str, action: str, *rows: Any) -> str:
        """Run an action on rows of a list; return the page that follows."""
        keys = [getattr(row, "pk", row) for row in rows]
        data = {"action": action, "_selected_action": keys, "index": 0}
        return await self.post(f"/admin/sessions_app/{model}/", data)

    async def export(self, action: str, *rows: Any) -> str:
        """Run an action on entries of the audit; return the file that it gives."""
        client = AsyncClient()
        client.cookies = self._client.cookies
        data = {"action": action, "_selected_action": [row.pk for row in rows], "index": 0}
        response: Any = await client.post("/admin/sessions_app/auditentry/", data)
        return b"".join([piece async for piece in response.streaming_content]).decode()

    async def post(self, path: str, data: dict[str, Any], language: str = "en") -> str:
        """Post a form and follow where it leads."""
        wanted = {"accept-language": language}
        return await self._page(lambda: self._client.post(path, data, headers=wanted, follow=True))  # type: ignore[arg-type, return-value] # a subclass

    async def get(self, path: str) -> str:
        """Read a page."""
        return await self._page(lambda: self._client.get(path))  # type: ignore[arg-type, return-value] # a subclass

    async def _page(self, request: Callable[[], HttpResponse]) -> str:
        response = await reads.read(request)
        assert response.status_code == 200
        return response.content.decode()


@asynccontextmanager
async def host_and_operate(hosting: Hosting) -> AsyncIterator[tuple[Hosting, Operator]]:
    """Host, with somebody signed in who operates it."""
    async with hosting as hosted:
        yield hosted, await Operator().signed_in()


async def history() -> list[str]:
    """Return what the audit trail has, oldest first."""
    rows = await reads.read(lambda: list(LogEntry.objects.order_by("pk")))
    return [f"{row.user_id and 'boss'}: {row.get_change_message()}" for row in rows]


def answer_page(interaction: UUID) -> str:
    return f"/admin/sessions_app/interaction/{interaction}/answer/"
