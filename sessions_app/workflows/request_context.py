"""What a session knows of the request that it serves, and of who made it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from django.http import HttpRequest, parse_cookie
from django.utils.datastructures import CaseInsensitiveMapping

from sessions_app.models.people import Person, UserId, name_of
from sessions_app.workflows.context_variables import bound
from sessions_app.workflows.trace import Trace

AsgiScope = Mapping[str, Any]

# A text that a number has: 007 is another's name.
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Client(NamedTuple):
    """Where a request came from, as the server sees it."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class RequestMetadata:
    """A request. Header names are found in any case; of a query name the last value counts.

    Of a live request it holds everything, secrets too; of a stored run only what its front end
    found fit to store.
    """

    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: CaseInsensitiveMapping({}))
    cookies: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    client: Client | None = None

    @classmethod
    def of_request(cls, request: HttpRequest) -> Self:
        """That of a Django request."""
        host, port = request.META.get("REMOTE_ADDR"), request.META.get("REMOTE_PORT")
        return cls(
            method=request.method or "",
            path=request.path,
            headers=request.headers,
            cookies=request.COOKIES,
            query=request.GET.dict(),
            client=Client(host, int(port) if port else None) if host else None,
        )

    @classmethod
    def of_scope(cls, scope: AsgiScope) -> Self:
        """That of an ASGI scope, `http` or `websocket`."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope.get("headers", ()):
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            between = "; " if name == "cookie" else ", "
            headers[name] = headers[name] + between + value if name in headers else value
        query = scope.get("query_string", b"").decode("latin-1")
        client = scope.get("client")
        return cls(
            method=scope.get("method", "GET"),
            path=scope.get("path", ""),
            headers=CaseInsensitiveMapping(headers),
            cookies=parse_cookie(headers.get("cookie", "")),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            client=Client(client[0], client[1]) if client else None,
        )

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Self:
        """That of a run, from `Run.metadata`; what is missing there is empty."""
        client = stored.get("client")
        return cls(
            method=stored.get("method") or "",
            path=stored.get("path") or "",
            headers=CaseInsensitiveMapping(dict(stored.get("headers") or {})),
            cookies=dict(stored.get("cookies") or {}),
            query=dict(stored.get("query") or {}),
            client=Client(client["host"], client["port"]) if client else None,
        )


Connection = HttpRequest | AsgiScope | RequestMetadata


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a session is about. An empty text, or None, is what nobody named."""

    user_id: str = ""
    conversation_id: str = ""
    user_message_id: str = ""
    workflow_run_id: str = ""
    trace: Trace | None = None
    metadata: RequestMetadata = field(default_factory=RequestMetadata)

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """That of a request, with the ids that its headers name."""
        metadata = _metadata(connection)
        headers = metadata.headers
        return cls(
            conversation_id=headers.get("conversation-id", ""),
            user_message_id=headers.get("user-message-id", ""),
            workflow_run_id=headers.get("workflow-run-id", ""),
            trace=Trace.of_headers(headers),
            metadata=metadata,
        )

    def named(self, **names: str | None) -> Self:
        """The same, with the names that are given."""
        given: dict[str, Any] = {name: text for name, text in names.items() if text is not None}
        return replace(self, **given)


# The session's request, in whatever task serves it; and the parent of its runs: the step of
# another workflow that called this one.
current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
workflow_parent_id: ContextVar[str | None] = ContextVar("workflow_parent_id", default=None)
workflow_parent_name: ContextVar[str | None] = ContextVar("workflow_parent_name", default=None)

ParentTokens = tuple[Token[str | None] | None, Token[str | None] | None]


def set_parents(headers: Mapping[str, str]) -> ParentTokens:
    """Set the parent that `workflow-parent-id` and `-name` give.

    Returns the token of each, None without its header; the caller resets them.
    """
    parent_id, name = headers.get("workflow-parent-id"), headers.get("workflow-parent-name")
    return (
        workflow_parent_id.set(parent_id) if parent_id else None,
        workflow_parent_name.set(name) if name else None,
    )


def parents(parent_id: str | None, name: str | None) -> tuple[str | None, str | None]:
    """The parent's id and name: those given, else those that are set."""
    return (
        parent_id if parent_id is not None else workflow_parent_id.get(),
        name if name is not None else workflow_parent_name.get(),
    )


def open_request(connection: Connection | None, **names: str | None) -> RequestContext:
    """What a session is about: the connection, else the request that the task serves already;
    the names that are given stand before the request's own.
    """
    if connection is not None:
        found = RequestContext.of(connection)
    else:
        found = current_request.get() or RequestContext()
    return found.named(**names)


@contextmanager
def serving(request: RequestContext, connection: Connection | None) -> Iterator[None]:
    """The current task serves the request; all is as before after the block."""
    if connection is None:
        with bound(current_request, request):
            yield
        return
    headers = request.metadata.headers
    with (
        bound(current_request, request),
        bound(workflow_parent_id, headers.get("workflow-parent-id")),
        bound(workflow_parent_name, headers.get("workflow-parent-name")),
    ):
        yield


async def identify(
    user_id: UserId | None, user_manager: Any, connection: Connection | None
) -> tuple[str, Person]:
    """Who the user is, by the first that says so; an empty id where none does.

    `user_manager` is a `Person`, a Django user, or has `get_user_id()` or `user_id`. A connection
    has the user whom Django's authentication (or that of channels) found.
    """
    if user_id is None and user_manager is None and connection is not None:
        user_manager = await _user(connection)
    if user_id is None and user_manager is not None:
        if isinstance(user_manager, Person):
            return name_of(user_manager.id) if user_manager.id else "", user_manager
        if hasattr(user_manager, "is_authenticated"):
            if not user_manager.is_authenticated:
                return "", Person(0, "")
            person = Person.of(user_manager)
            return name_of(person.id), person
        get = getattr(user_manager, "get_user_id", None)
        user_id = get() if get is not None else user_manager.user_id
    text = "" if user_id is None else str(user_id)
    return text, Person(int(text) if NUMBER.fullmatch(text) else text or 0, text)


async def _user(connection: Connection) -> Any:
    if isinstance(connection, HttpRequest):
        # `request.user` may ask the database; `auser` does so without blocking.
        auser = getattr(connection, "auser", None)
        return await auser() if auser is not None else getattr(connection, "user", None)
    return None if isinstance(connection, RequestMetadata) else connection.get("user")


def _metadata(connection: Connection) -> RequestMetadata:
    if isinstance(connection, RequestMetadata):
        return connection
    if isinstance(connection, HttpRequest):
        return RequestMetadata.of_request(connection)
    return RequestMetadata.of_scope(connection)
