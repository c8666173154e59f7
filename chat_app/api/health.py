"""Whether this process can serve."""

import asyncio

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from sessions_app.operations import reports
from sessions_app.storage import reads

TIMEOUT = 5.0  # seconds


async def live(request: HttpRequest) -> JsonResponse:
    """Answer 200: this process is not stuck, and to restart it mends nothing."""
    return JsonResponse({"status": "ok"})


async def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 if the database answers and takes writes, else 503 with the reason."""
    try:
        async with asyncio.timeout(TIMEOUT):
            await reads.read(_ask_database)
    except (DatabaseError, TimeoutError):
        return _unavailable("The database does not answer.")
    if not reports.storing():
        return _unavailable(
            "The database takes no writes: its disk may be full, or something may have locked it."
        )
    return JsonResponse({"status": "ok"})


def _unavailable(reason: str) -> JsonResponse:
    return JsonResponse({"status": "unavailable", "reason": reason}, status=503)


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
