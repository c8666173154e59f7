"""The HTTP interface put together, with its OpenAPI document and page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from ninja import NinjaAPI, Swagger
from ninja.errors import AuthenticationError

from chat_app.api import executions, inbox, problems, run_views
from chat_app.api.auth import ApiKey, Bearer, Guest, Rates, Session
from chat_app.api.bodies import BodyParser
from chat_app.api.large_results import spool_response
from chat_app.api.problems import HANDLERS, Failure
from chat_app.identity import BadCredentials
from chat_app.settings import ChatSettings
from sessions_app.errors import SessionsError

# The ways of signing in, in their order.
AUTH: list[Any] = [Session(), Bearer(), ApiKey(), Guest()]


def _may_read_docs(view: Callable[..., Any]) -> Callable[..., Any]:
    """Show the interface's description to who is signed in, or to everybody (a setting)."""

    @csrf_exempt
    @require_GET
    @never_cache
    @wraps(view)
    async def guarded_view(request: HttpRequest) -> HttpResponse:
        try:
            if ChatSettings.load().API_DOCS_PUBLIC or await _is_known(request):
                page: HttpResponse = await sync_to_async(view)(request)
                return page
        except (BadCredentials, Failure, SessionsError) as error:
            return api.on_exception(request, error)
        if problems.asks_for_page(request):
            return redirect_to_login(request.get_full_path())
        return HANDLERS[AuthenticationError](request, AuthenticationError())

    return guarded_view


async def _is_known(request: HttpRequest) -> bool:
    for auth in AUTH:
        if await auth(request) is not None:
            return True
    return False


api = NinjaAPI(
    title="Human-in-the-loop workflows",
    version="1",
    description=(
        "Runs of workflows that stop to ask a person. The same runs, prompts and answers as on "
        "the page and the socket."
    ),
    # Its own is the last part; the first is that of `chat_app.urls`, which includes it.
    urls_namespace="chat:chat_api",
    auth=AUTH,
    throttle=[Rates()],
    parser=BodyParser(),
    # No badge of an outside validator.
    docs=Swagger(settings={"validatorUrl": None}),
    docs_decorator=_may_read_docs,
)
for error, handler in HANDLERS.items():
    api.add_exception_handler(error, handler)
api.add_decorator(never_cache, mode="view")
api.add_decorator(spool_response, mode="view")
api.add_router("", run_views.router)
api.add_router("", executions.router)
api.add_router("", inbox.router)
