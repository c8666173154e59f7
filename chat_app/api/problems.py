"""The error responses: NAT's format on NAT's paths, otherwise problem details (RFC 9457)."""

from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from ninja import Router
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError
from pydantic import BaseModel

from chat_app.api.schemas import ANSWERS, PeerError, Problem
from chat_app.identity import BadCredentials, audit
from chat_app.identity.request_facts import guest_token
from chat_app.rates import Rate
from chat_app.wire.frames import Frame, error_content
from chat_app.wire.parsing import STATUS, TRY_AGAIN, refusal_of
from sessions_app.errors import Refused, SessionsError, TooMany
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.storage.faults import is_fault

log = Log(__name__)

MEDIA_TYPE = "application/problem+json"
ANSWER = ("answer", "answer_prompt")
# Views that start runs: their errors have NAT's three fields, because NAT allows no others.
RUNS = (
    *("generate", "generate_stream", "generate_full", "generate_async"),
    *("chat", "chat_stream", "completions"),
)


def _response_schema(media_type: str, schema: type[BaseModel]) -> JsonObject:
    content = {media_type: {"schema": schema.model_json_schema()}}
    return {"default": {"description": "What went wrong", "content": content}}


# Error responses in the OpenAPI document: of operations that start runs, and of all others.
RUN_PROBLEM_RESPONSE = _response_schema("application/json", PeerError)
OPENAPI_EXTRA = {"responses": _response_schema(MEDIA_TYPE, Problem)}


class ProblemRouter(Router):
    """A router that documents problem details as the errors of operations that declare none."""

    def add_api_operation(self, *args: Any, **options: Any) -> None:
        options["openapi_extra"] = options["openapi_extra"] or OPENAPI_EXTRA
        super().add_api_operation(*args, **options)


class Failure(Exception):
    """An error that ends a request with problem details (RFC 9457), to which it adds `details`."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **details: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers
        self.details = details

    @property
    def error(self) -> Frame:
        """The error in NAT's format: `code`, `message`, and `details` as a text."""
        content: Frame = error_content(self.code, str(self), self.details)["content"]
        return content


def response(request: HttpRequest, failure: Failure) -> HttpResponse:
    """Build the response of a failure: problem details (RFC 9457) with NAT's error fields.

    NAT's own paths get NAT's fields alone.
    """
    if request.resolver_match and request.resolver_match.url_name in RUNS:
        return JsonResponse(failure.error, status=failure.status, headers=failure.headers)
    content = Problem(
        title=HTTPStatus(failure.status).phrase,
        status=failure.status,
        detail=str(failure),
        **failure.error,
    ).model_dump()
    return JsonResponse(
        failure.details | content,
        status=failure.status,
        content_type=MEDIA_TYPE,
        headers=failure.headers,
    )


def _runtime(request: HttpRequest, error: SessionsError) -> HttpResponse:
    refusal = refusal_of(error)
    if refusal is None or is_fault(error):
        return _answer_unexpected(request, error)
    status = STATUS[type(error)]
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooMany) else None
    failure = Failure(status, refusal.code, str(refusal), headers=headers, **refusal.details)
    return response(request, failure)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    fields = [
        {"field": _field(problem["loc"]), "problem": problem["msg"].removeprefix("Value error, ")}
        for problem in error.errors[:10]
    ]
    detail = "; ".join(f"{field['field']}: {field['problem']}" for field in fields)
    details: JsonObject = {"fields": fields}
    if request.resolver_match and request.resolver_match.url_name in ANSWER:
        details["examples"] = ANSWERS
    return response(request, Failure(422, "invalid_message", detail, **details))


def _field(location: Sequence[str | int]) -> str:
    """Return the dotted name of a refused field; for a body, without the view's parameter."""
    kind, *path = map(str, location)
    return ".".join([kind, *(path[1:] if kind == "body" else path)])


def _unknown_person(request: HttpRequest, error: Exception) -> HttpResponse:
    if isinstance(error, BadCredentials):  # do not log: wrong credentials already are
        detail = str(error)
    else:
        guest = guest_token(request.COOKIES, request.GET.dict())
        audit.log_missing_identity(request, guest=guest is not None)
        detail = "Sign in, or send a token."
    headers = {"WWW-Authenticate": "Bearer"}
    return response(request, Failure(401, "user_auth_error", detail, headers=headers))


def _answer_unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer 503 to a database fault, which is worth a retry, and 500 to any other error."""
    if is_fault(error) and (refusal := refusal_of(error)):
        log.warning("api.database_gone", path=request.path, error=str(error))
        detail = "The database is away or full at the moment. Repeat the request later."
        return response(
            request, Failure(503, refusal.code, detail, headers=TRY_AGAIN, **refusal.details)
        )
    log.error("api.failed", path=request.path, exc_info=error)
    failure = Failure(
        500,
        "unknown_error",
        "Something went wrong here, and was logged. Try again, or tell the operators of this site.",
    )
    return response(request, failure)


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer an error of django-ninja, or the refusal by `BodyParser` that caused the error."""
    if isinstance(error.__cause__, Refused):
        return _runtime(request, error.__cause__)
    is_json = isinstance(error.__cause__, ValueError)
    detail = f"The body is not valid JSON: {error.__cause__}." if is_json else str(error)
    return response(request, Failure(error.status_code, "invalid_message", detail))


@csrf_exempt
def unknown(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer 404: the URL leads to nothing."""
    return response(request, Failure(404, "invalid_message", "There is no such thing here."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404: the `handler404` of a project that serves the chat."""
    if asks_for_page(request):
        return defaults.page_not_found(request, exception)
    return unknown(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 to what Django cannot read: the `handler400` of a project that serves the chat."""
    if asks_for_page(request):
        return defaults.bad_request(request, exception)
    detail = "The request cannot be read."
    if isinstance(exception, MultiPartParserError):
        detail = (
            "The form cannot be read. Give each file a name of at most 255 characters, and end "
            "each part with the boundary that Content-Type names."
        )
    return response(request, Failure(400, "invalid_message", detail))


def asks_for_page(request: HttpRequest) -> bool:
    """Return whether the client prefers HTML to JSON, as browsers do."""
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def for_programs(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a view: handle HEAD as GET, and answer other unsupported methods with a problem."""

    @wraps(view)
    async def wrapped_view(request: HttpRequest, *args: Any, **names: Any) -> HttpResponse:
        method = request.method
        if method == "HEAD":  # handle as GET: the web server drops the body
            request.method = "GET"
        answer: HttpResponse = await view(request, *args, **names)
        if not isinstance(answer, HttpResponseNotAllowed):
            return answer
        allowed = answer["Allow"].replace("GET", "GET, HEAD")
        detail = f"{method} is not allowed here, but {allowed} is."
        headers = {"Allow": allowed}
        return response(request, Failure(405, "invalid_message", detail, headers=headers))

    return wrapped_view


# The handlers that turn each error of the API into a problem.
HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    Exception: _answer_unexpected,
    Failure: response,
    SessionsError: _runtime,
    ValidationError: _invalid,
    Throttled: lambda request, error: _runtime(
        request, TooMany(Rate.API_USER.counted_things, error.wait)
    ),
    HttpError: _http,
    AuthenticationError: _unknown_person,
    BadCredentials: _unknown_person,
    Http404: unknown,
    RequestDataTooBig: lambda request, _: response(
        request, Failure(413, "invalid_message", "The request is too large.")
    ),
}
