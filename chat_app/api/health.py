"""Whether this process can serve."""

import asyncio

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from sessions_app.storage import reads

TIMEOUT = 5.0  # seconds


async def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 if the database answers, else 503 with the reason."""
    try:
        async with asyncio.timeout(TIMEOUT):
            await reads.read(_ask_database)
    except (DatabaseError, TimeoutError):
        content = {"status": "unavailable", "reason": "The database does not answer."}
        return JsonResponse(content, status=503)
    return JsonResponse({"status": "ok"})


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
