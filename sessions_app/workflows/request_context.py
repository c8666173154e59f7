"""The request that a session serves, its user, and its trace."""

import json
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, RawPostDataException, parse_cookie
from django.utils.datastructures import CaseInsensitiveMapping
from django.utils.functional import LazyObject

from sessions_app.json_types import JsonObject
from sessions_app.models.people import AnyUserId, Person, UserId, name_of
from sessions_app.storage import reads
from sessions_app.workflows.context_variables import Variables

AsgiScope = Mapping[str, Any]

# Canonical numbers only, because the texts "007" and "7" are ids of different users.
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
NOBODY = Person(0, "")
# The form of a `traceparent` header.
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class RequestMetadata:
    """The metadata of a request; absent values are None or an empty mapping.

    Header names are case-insensitive; of a repeated query name the last value counts. A live
    request has everything, including secrets; a stored run has only the part that its front end
    chose to store. `url_port` comes from the Host header; `payload` is the body, if that is JSON.
    """

    method: str | None = None
    url_path: str | None = None
    url_port: int | None = None
    url_scheme: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: CaseInsensitiveMapping({}))
    query_params: Mapping[str, str] = field(default_factory=dict)
    path_params: Mapping[str, object] = field(default_factory=dict)
    client_host: str | None = None
    client_port: int | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    payload: object = None

    @classmethod
    def of_request(cls, request: HttpRequest) -> Self:
        """Read the metadata of a Django request."""
        port = request.META.get("REMOTE_PORT")
        return cls(
            method=request.method,
            url_path=request.path,
            url_port=_port(request.headers),
            url_scheme=request.scheme,
            headers=request.headers,
            query_params=request.GET.dict(),
            path_params=request.resolver_match.kwargs if request.resolver_match else {},
            client_host=request.META.get("REMOTE_ADDR") or None,
            client_port=int(port) if port else None,
            cookies=request.COOKIES,
            payload=_payload(request),
        )

    @classmethod
    def of_scope(cls, scope: AsgiScope) -> Self:
        """Read the metadata of an ASGI scope, `http` or `websocket`; a socket has no method."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope.get("headers", ()):
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            between = "; " if name == "cookie" else ", "
            headers[name] = headers[name] + between + value if name in headers else value
        query = scope.get("query_string", b"")
        if isinstance(query, bytes):  # Django's test client writes a text
            query = query.decode("latin-1")
        client_host, client_port = scope.get("client") or (None, None)
        return cls(
            method=scope.get("method"),
            url_path=scope.get("path"),
            url_port=_port(headers),
            url_scheme=scope.get("scheme"),
            headers=CaseInsensitiveMapping(headers),
            query_params=dict(parse_qsl(query, keep_blank_values=True)),
            path_params=scope.get("url_route", {}).get("kwargs") or scope.get("path_params") or {},
            client_host=client_host,
            client_port=client_port,
            cookies=parse_cookie(headers.get("cookie", "")),
        )

    @classmethod
    def of_stored(cls, stored: JsonObject) -> Self:
        """Read a run's metadata from `Run.metadata`, in which any of these fields may be stored."""
        fields = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        return cls(**{**fields, "headers": CaseInsensitiveMapping(stored.get("headers") or {})})


def _port(headers: Mapping[str, str]) -> int | None:
    try:
        return urlsplit(f"//{headers.get('host', '')}").port
    except ValueError:
        return None


def _payload(request: HttpRequest) -> object:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError, OSError, RawPostDataException, SuspiciousOperation):
        return None  # the body is not JSON, too long, cut off, or already read as a stream


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace context of a span, as defined by W3C Trace Context (level 1).

    `trace_id` has 128 bits and `span_id` 64; `sampled` is the caller's flag; `state` is the
    caller's `tracestate`, passed on unchanged.
    """

    trace_id: int
    span_id: int
    sampled: bool = False
    state: str = ""

    @classmethod
    def parse(cls, traceparent: str, tracestate: str = "") -> "Trace | None":
        """Parse the two headers of a trace context; return None if `traceparent` is not valid.

        A higher version is parsed like version 00, as the standard asks.
        """
        match = _FORM.fullmatch(traceparent.strip(" \t"))
        if match is None:
            return None
        version, trace_id, span_id, flags, extra_fields = match.groups()
        if version == "ff" or (version == "00" and extra_fields) or not int(trace_id, 16):
            return None
        if not int(span_id, 16):
            return None
        sampled = bool(int(flags, 16) & _SAMPLED)
        return cls(int(trace_id, 16), int(span_id, 16), sampled, tracestate)

    @classmethod
    def parse_id(cls, text: str) -> "Trace | None":
        """Parse a trace id (32 hex digits, or a UUID), without a span; return None if not valid."""
        try:
            trace_id = UUID(text.strip()).int
        except ValueError:
            return None
        return cls(trace_id, 0) if trace_id else None

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> "Trace | None":
        """Return the trace context of headers: `traceparent`, or else `workflow-trace-id`."""
        trace_context = cls.parse(headers.get("traceparent", ""), headers.get("tracestate", ""))
        return trace_context or cls.parse_id(headers.get("workflow-trace-id", ""))

    @classmethod
    def of_run(cls, run_id: str, parent: "Trace | None") -> "Trace":
        """Return a span for the run, in its parent's trace or in a new trace.

        New ids are derived from the run's id, so that a replay gets the same ids.
        """
        span_id = _digest(run_id, 8)
        return replace(parent, span_id=span_id) if parent else cls(_digest(run_id, 16), span_id)

    @property
    def headers(self) -> dict[str, str]:
        """The trace headers for outgoing requests."""
        flags = _SAMPLED if self.sampled else 0
        traceparent = f"00-{self.trace_id:032x}-{self.span_id:016x}-{flags:02x}"
        return {"traceparent": traceparent, **({"tracestate": self.state} if self.state else {})}


def _digest(text: str, size: int) -> int:
    # Replace 0 by 1, because W3C Trace Context forbids an id of zero.
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1


# Type of a session's connection. A socket is passed as an ASGI scope, or as an object with an
# attribute `scope`, such as a consumer or the request of another framework.
Connection = HttpRequest | AsgiScope | RequestMetadata | object


NOTHING = RequestMetadata()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The facts that a session knows of its request; unknown values are an empty text or None."""

    user_id: str = ""
    user: Person = NOBODY
    conversation_id: str = ""
    user_message_id: str = ""
    workflow_run_id: str = ""
    trace: Trace | None = None
    metadata: RequestMetadata = NOTHING

    @classmethod
    def of(cls, connection: Connection, **metadata: Any) -> Self:
        """Read the context of a request, with ids from its headers; `metadata` overrides fields."""
        request = _metadata(connection)
        request = replace(request, **metadata) if metadata else request
        headers = request.headers
        return cls(
            conversation_id=headers.get("conversation-id", ""),
            user_message_id=headers.get("user-message-id", ""),
            workflow_run_id=headers.get("workflow-run-id", ""),
            trace=Trace.of_headers(headers),
            metadata=request,
        )

    @classmethod
    def of_stored(
        cls, metadata: JsonObject, user: Person, *, conversation_id: str, user_message_id: str
    ) -> Self:
        """Read the context of a stored run; the given user and ids override those of headers."""
        return cls.of(RequestMetadata.of_stored(metadata)).with_names(
            user_id=name_of(user.id),
            user=user,
            conversation_id=conversation_id,
            user_message_id=user_message_id,
        )

    def with_names(self, **names: Any) -> Self:
        """Return a copy in which the given fields are replaced; None leaves a field unchanged."""
        return replace(self, **{name: value for name, value in names.items() if value is not None})


# Context variables: the request that the current task serves; the user of the innermost open
# session; id and name of the parent of new runs, that is, the step that called this workflow.
current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
session_user: ContextVar[tuple[str, Person]] = ContextVar("session_user", default=("", NOBODY))
workflow_parent_id: ContextVar[str | None] = ContextVar("workflow_parent_id", default=None)
workflow_parent_name: ContextVar[str | None] = ContextVar("workflow_parent_name", default=None)

ParentTokens = tuple[Token[str | None] | None, Token[str | None] | None]


def set_request(request: RequestContext, user: object) -> None:
    """Set the request that the current task serves, and its user; None is an anonymous user."""
    user_id, person = ("", NOBODY) if user is None else _by_manager(user)
    current_request.set(replace(request, user_id=user_id, user=person))


def set_parents(headers: Mapping[str, str]) -> ParentTokens:
    """Set the parent of new runs from the headers `workflow-parent-id` and `workflow-parent-name`.

    Returns the token of each context variable, or None without the header; the caller resets them.
    """
    parent_id, name = headers.get("workflow-parent-id"), headers.get("workflow-parent-name")
    return (
        workflow_parent_id.set(parent_id) if parent_id else None,
        workflow_parent_name.set(name) if name else None,
    )


def user_in_context() -> tuple[str, Person]:
    """Return the user of the open session, or of the request that the task serves.

    The id is empty for anonymous use.
    """
    user_id, user = session_user.get()
    if user_id:
        return user_id, user
    request = current_request.get() or RequestContext()
    return request.user_id, request.user


async def open_request(
    connection: Connection | None,
    user_id: AnyUserId | None,
    user_manager: object,
    **names: str | None,
) -> RequestContext:
    """Build the request context of a session.

    It is based on the connection's request, or on the request that the task already serves. The
    user comes from `identify`, or else from the context variables; `names` override fields.
    """
    if connection is not None:
        request = RequestContext.of(connection)
    else:
        request = current_request.get() or RequestContext()
    identity = await identify(user_id, user_manager, connection) or user_in_context()
    return request.with_names(user_id=identity[0], user=identity[1], **names)


def request_of(user_id: AnyUserId | None) -> RequestContext:
    """Return the request that the task serves, for the given user or else for the current user."""
    request = current_request.get() or RequestContext()
    identity = user_in_context()
    if user_id is not None and str(user_id) != identity[0]:
        identity = by_id(user_id)
    if identity == (request.user_id, request.user):
        return request
    return replace(request, user_id=identity[0], user=identity[1])


def of_session(request: RequestContext, connection: Connection | None) -> Variables:
    """Return the values of context variables for a session that serves the request."""
    variables: Variables = {
        current_request: request,
        session_user: (request.user_id, request.user),
    }
    if connection is not None:
        headers = request.metadata.headers
        variables[workflow_parent_id] = headers.get("workflow-parent-id")
        variables[workflow_parent_name] = headers.get("workflow-parent-name")
    return variables


async def identify(
    user_id: AnyUserId | None, user_manager: object, connection: Connection | None
) -> tuple[str, Person] | None:
    """Return the id and the person of the first argument that names a user.

    Return None if no argument is given; the id is empty for an anonymous user. `user_manager` is a
    `Person`, a Django user, or has `get_user_id()` or `user_id`. For a connection, it is the user
    found by the authentication of Django or channels.
    """
    if user_id is None and user_manager is None and connection is not None:
        user_manager = await user_of(connection)
    if user_id is not None:
        return by_id(user_id)
    return None if user_manager is None else _by_manager(user_manager)


def by_id(user_id: AnyUserId) -> tuple[str, Person]:
    """Return id and person of a user of whom only the id is known."""
    text = str(user_id)
    key = int(text) if NUMBER.fullmatch(text) else text or 0
    return text, Person(cast("UserId", key), text)


def _by_manager(user_manager: Any) -> tuple[str, Person]:
    if isinstance(user_manager, Person):
        return name_of(user_manager.id) if user_manager.id else "", user_manager
    if hasattr(user_manager, "is_authenticated"):
        if not user_manager.is_authenticated:
            return "", NOBODY
        person = Person.of(user_manager)
        return name_of(person.id), person
    get = getattr(user_manager, "get_user_id", None)
    user_id = get() if get is not None else user_manager.user_id
    return ("", NOBODY) if user_id is None else by_id(user_id)


async def user_of(connection: Connection) -> object:
    """Return the user that Django or channels has authenticated for a connection, or None."""
    if isinstance(connection, HttpRequest):
        return await user_of_request(connection)
    return None if isinstance(connection, RequestMetadata) else scope_of(connection).get("user")


async def user_of_request(request: HttpRequest) -> Any:
    """Return the user in `request.user`, whom a middleware of the project may have put there.

    Django's `request.auser` may still return the user of the session.
    """
    user = getattr(request, "user", None)
    if user is None:
        return await request.auser() if hasattr(request, "auser") else None
    if isinstance(user, LazyObject):
        # Load the user in a thread, because it may take a query.
        await reads.read(getattr, user, "is_authenticated")
    return user


def scope_of(connection: Any) -> AsgiScope:
    """Return the scope of a socket or request: the object itself, or its attribute `scope`."""
    scope: AsgiScope = getattr(connection, "scope", connection)
    return scope


def _metadata(connection: Connection) -> RequestMetadata:
    if isinstance(connection, RequestMetadata):
        return connection
    if isinstance(connection, HttpRequest):
        return RequestMetadata.of_request(connection)
    return RequestMetadata.of_scope(scope_of(connection))
