"""The health of this process: whether it can serve requests."""

import asyncio

from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from django.urls import get_script_prefix
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from chat_app.api.problems import for_programs
from chat_app.settings import ChatSettings
from chat_app.wire.parsing import TRY_AGAIN
from sessions_app.lifecycle import processes, startup
from sessions_app.models import Conversation, Event, Run
from sessions_app.storage import clock, reads

TIMEOUT = 5.0  # maximum seconds for the database's response
NOT_MOUNTED = (
    "The chat is not served: no socket opens here, and no run continues. End asgi.py with "
    "application = with_chat(application), which is in chat_app.asgi, and serve it with an ASGI "
    "server, uvicorn without --lifespan off."
)


@for_programs
@csrf_exempt
@require_GET
@never_cache
async def live(request: HttpRequest) -> JsonResponse:
    """Answer 200: this process responds, so that a restart would fix nothing."""
    return JsonResponse({"status": "ok"})


@for_programs
@csrf_exempt
@require_GET
@never_cache
async def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 if this process can serve the chat; else 503 with the reason.

    The conditions: the chat is mounted, links lead to it, the database takes writes, and a process
    that hosts runs has the database's time. `wrong_clocks`: the seconds that the clocks of other
    processes are ahead of the database's; these host no runs.
    """
    if not startup.is_up():
        return _unavailable(NOT_MOUNTED)
    if problem := ChatSettings.load().prefix_problem(get_script_prefix().rstrip("/")):
        return _unavailable(problem)
    try:
        async with asyncio.timeout(TIMEOUT):
            wrong_clocks = await reads.read(_ask_database)
    except (OperationalError, InterfaceError, TimeoutError):
        return _unavailable("The database does not respond.")
    except DatabaseError:
        return _unavailable("The database cannot be read: it may be damaged. Check its file.")
    if not processes.stores_writes():
        return _unavailable(
            "The database takes no writes: its disk may be full, or something may have locked it."
        )
    if startup.hosts_runs() and not clock.is_right():
        return _unavailable(
            f"The clock of this process is {clock.in_words(clock.ahead())}, so that no run "
            "continues. Have NTP set both clocks."
        )
    return JsonResponse({"status": "ok"} | ({"wrong_clocks": wrong_clocks} if wrong_clocks else {}))


def _unavailable(reason: str) -> JsonResponse:
    return JsonResponse({"status": "unavailable", "reason": reason}, status=503, headers=TRY_AGAIN)


def _ask_database() -> list[int]:
    """Read the last row of each growing table that messages use, to test the database.

    Return the seconds by which clocks of processes are wrong.
    """
    Conversation.objects.values_list("updated_at").last()
    Run.objects.values_list("status").last()
    Event.objects.values_list("type").last()
    return [round(process.clock_ahead) for process in processes.with_wrong_clocks()]
