"""The HTTP API with its parser of bodies, its responses, and the OpenAPI document and page."""

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from ninja import NinjaAPI, Swagger
from ninja.errors import AuthenticationError
from ninja.parser import Parser
from ninja.types import DictStrAny

from chat_app.api import executions, inbox, problems, run_views
from chat_app.api.auth import ApiKeyAuth, BearerAuth, GuestAuth, Rates, SessionAuth
from chat_app.api.problems import HANDLERS, Failure
from chat_app.identity import BadCredentials
from chat_app.rates import Rate, rate_limits
from chat_app.settings import ChatSettings
from chat_app.wire.parsing import MOST_VALUES, TOO_MANY, has_too_many_values
from sessions_app.errors import Invalid, SessionsError
from sessions_app.json_types import load_json
from sessions_app.storage.connections import yield_response
from sessions_app.storage.spool import PIECE_BYTES, pieces, spool

# The authentication methods, in order of precedence.
AUTH: list[Any] = [SessionAuth(), BearerAuth(), ApiKeyAuth(), GuestAuth()]


def _may_read_docs(view: Callable[..., Any]) -> Callable[..., Any]:
    """Show the API documentation to signed-in users, or to everybody if API_DOCS_PUBLIC is set."""

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


def _spool_response(view: Callable[..., Any]) -> Callable[..., Any]:
    """Buffer large responses on disk, for clients that read slowly."""

    @wraps(view)
    async def spooled_view(*args: object, **kwargs: object) -> HttpResponseBase:
        response: HttpResponseBase = await view(*args, **kwargs)
        if not isinstance(response, HttpResponse) or len(response.content) <= PIECE_BYTES:
            return response
        file = await asyncio.to_thread(spool, iter([response.content]))
        return StreamingHttpResponse(
            yield_response(pieces(file)),
            status=response.status_code,
            headers={**response.headers, "Content-Length": str(len(response.content))},
        )

    return spooled_view


class BodyParser(Parser):
    """The parser of JSON bodies, with limits on each user's bytes and on the values of each body.

    The limits keep a large body from blocking the event loop.
    """

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """Parse a body.

        Raises:
            TooMany: the user has sent too many bytes.
            Invalid: the body has too many values.
            ValueError: the body is not JSON, or an object has the same name twice.
        """
        if (identity := getattr(request, "auth", None)) is not None:
            rate_limits.take((Rate.BYTES_USER, identity.person.id), amount=len(request.body))
        if has_too_many_values(request.body.decode(errors="replace")):
            raise Invalid(TOO_MANY, max_values=MOST_VALUES)
        body: DictStrAny = load_json(request.body)
        return body


api = NinjaAPI(
    title="Human-in-the-loop workflows",
    version="1",
    description=(
        "Runs of workflows that stop to ask a person. The same runs, prompts and answers as on "
        "the page and the socket."
    ),
    # `chat_api` is this API's own namespace, inside `chat`, the namespace of `chat_app.urls`.
    urls_namespace="chat:chat_api",
    auth=AUTH,
    throttle=[Rates()],
    parser=BodyParser(),
    # Disable the badge that Swagger UI gets from an external validator.
    docs=Swagger(settings={"validatorUrl": None}),
    docs_decorator=_may_read_docs,
)
for error, handler in HANDLERS.items():
    api.add_exception_handler(error, handler)
api.add_decorator(never_cache, mode="view")
api.add_decorator(_spool_response, mode="view")
api.add_router("", run_views.router)
api.add_router("", executions.router)
api.add_router("", inbox.router)
