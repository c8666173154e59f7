"""The start of a run by a request, and the response: one result, or a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from http import HTTPStatus
from uuid import NAMESPACE_URL, uuid4, uuid5

from django.http import StreamingHttpResponse

from chat_app.api import results
from chat_app.api.auth import AuthenticatedRequest
from chat_app.api.problems import Failure
from chat_app.api.run_feed import FollowedEvent, follow
from chat_app.api.run_selectors import NO_EVENT, ExecutionRecord, read_execution, run_at
from chat_app.api.schemas import RunHeaders, StreamHeaders
from chat_app.identity import Identity, metadata
from chat_app.identity.request_facts import address_of
from chat_app.rates import ConnectionSlot, acquire_stream, submit
from chat_app.settings import ChatSettings
from chat_app.wire.frames import is_end
from sessions_app.conversations import messages
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.errors import Invalid, NotFound
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Run
from sessions_app.storage import caller_thread, reads
from sessions_app.storage.records import EventRecord

HEARTBEAT = 15  # seconds without events between two heartbeats of a stream


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """A run that was started by this request, or by an earlier request with the same message id.

    The client has all events up to `after`. `client_format` is the output format of this request;
    the earlier request may have asked for another one.
    """

    identity: Identity
    run: Run
    client_format: str
    after: int
    is_continuation: bool
    slot: ConnectionSlot

    def follow(self) -> AsyncGenerator[FollowedEvent | None, None]:
        """Yield the run's events after the client's last one.

        Raises:
            Failure: a project's test makes the request, and hosts no run.
        """
        if caller_thread.is_used():
            raise Failure(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", caller_thread.NOT_HOSTED)
        return follow(self.identity, self.run, after=self.after, slot=self.slot)

    @property
    def headers(self) -> dict[str, str]:
        """The headers for resuming the stream, without ids that do not fit into a header."""
        ids = {
            "execution-id": str(self.run.id),
            "conversation-id": self.run.conversation.conversation_id,
            "user-message-id": self.run.message_id,
            # The trace id, by which later feedback names the run.
            "observability-trace-id": self.run.metadata.get("trace_id", ""),
        }
        return {name: id_ for name, id_ in ids.items() if id_.isascii() and id_.isprintable()}


async def begin(
    request: AuthenticatedRequest, headers: RunHeaders, message: IncomingMessage
) -> RequestedRun:
    """Submit the message of a request, or find the run that an earlier repetition started.

    Raises:
        TooMany: too many requests of that user, or from that address, already wait.
    """
    owner, address = request.auth.person.id, address_of(request)
    scope: JsonObject | None = getattr(request, "scope", None)  # a test client's has none
    slot = acquire_stream(user=owner, address=address)
    message_id = headers.user_message_id or str(uuid4())
    # Derive a new conversation's id from the message id, so that a repetition of the message finds
    # the conversation.
    conversation_id = headers.conversation_id or str(uuid5(NAMESPACE_URL, message_id))
    last = headers.last_event_id if isinstance(headers, StreamHeaders) else None
    if last is not None and headers.user_message_id is None:
        run_id = await reads.read_for(owner, run_at, owner, conversation_id, last)
        after = last
    else:
        ids = (owner, conversation_id, message_id)
        if last and not (await reads.read_for(owner, messages.exist, *ids))[1]:
            raise NotFound(NO_EVENT)  # a resumed stream must not start a run
        submitted_message = await submit(
            owner=owner,
            address=address,
            conversation_id=conversation_id,
            message=replace(
                message,
                message_id=message_id,
                metadata={} if scope is None else metadata(scope),
                # Interrupt a run that waits for an answer: HTTP clients may be unable to give one,
                # and the run would block all later messages.
                second_message="interrupt_asking",
                replaces=headers.replaces,
                follows=headers.follows,
            ),
        )
        run_id, after = submitted_message.run, max(submitted_message.sequence, last or 0)
    run = (await reads.read_for(owner, read_execution, owner, run_id)).run
    end = run.conversation.last_sequence
    if after > end:
        raise Invalid(f"The log ends at {end}: there is no event {after}.", last_sequence=end)
    return RequestedRun(
        request.auth,
        run,
        message.client_format,
        after,
        is_continuation=last is not None,
        slot=slot,
    )


async def outcome(requested_run: RequestedRun) -> tuple[int, results.Json]:
    """Return HTTP status and body: 200 with the result, or 202 if the run stops at a prompt.

    Raises:
        Failure: the run has no result.
    """
    async with aclosing(requested_run.follow()) as events:
        async for followed_event in events:
            if followed_event is None:
                continue
            event = followed_event.event
            if event.type in (Event.Type.INTERACTION, Event.Type.ASSIGNMENT) and (
                stop := results.stop_at(await _execution(requested_run))
            ):
                return 202, stop
            if _is_rest(event):
                execution = await _execution(requested_run)
                if execution.run.status == Run.Status.COMPLETED:
                    return 200, results.result(execution, requested_run.client_format)
                _check_alive(execution.run)
    raise AssertionError("following a run has no end of its own")


def answer_streaming(requested_run: RequestedRun, form: results.Generate) -> StreamingHttpResponse:
    """Build a response that streams until the run's end."""
    return StreamingHttpResponse(
        _stream(requested_run, form),
        content_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", **requested_run.headers},
    )


async def _stream(requested_run: RequestedRun, form: results.Generate) -> AsyncGenerator[str, None]:
    yield ""  # the first piece, even an empty one, sends the headers
    try:
        async with aclosing(_pieces(requested_run, form)) as pieces:
            async for piece in pieces:
                yield piece
    except Failure as failure:  # after the headers, only the stream can report the error
        yield form.error(failure.error)


async def _pieces(requested_run: RequestedRun, form: results.Generate) -> AsyncGenerator[str, None]:
    quiet, sweeps_per_heartbeat = 0, max(1, round(HEARTBEAT / ChatSettings.load().SWEEP_SECONDS))
    async with aclosing(requested_run.follow()) as events:
        async for followed_event in events:
            if followed_event is None:
                quiet += 1
                if quiet % sweeps_per_heartbeat == 0:
                    yield results.HEARTBEAT
                continue
            if form.tells_usage and is_end(followed_event.event):
                form.usage = (await _execution(requested_run)).usage
            yield results.write(followed_event, form)
            if is_end(followed_event.event):
                return
            if _is_rest(followed_event.event):
                run = (await _execution(requested_run)).run
                if run.status == Run.Status.SUSPENDED:  # else go on: the run was resumed meanwhile
                    _check_alive(run)


async def _execution(requested_run: RequestedRun) -> ExecutionRecord:
    owner = requested_run.identity.person.id
    return await reads.read_for(owner, read_execution, owner, requested_run.run.id)


def _is_rest(event: EventRecord) -> bool:
    """Return whether the event ended or suspended the run. Later, the run may be resumed."""
    return is_end(event) or (
        event.type == Event.Type.RUN and event.payload["status"] == Run.Status.SUSPENDED
    )


def _check_alive(run: Run) -> None:
    if run.status not in Run.UNFINISHED:
        code, reason = results.failure(run)
        status = 409 if run.status == Run.Status.CANCELLED else 422
        raise Failure(status, code, reason, execution_id=str(run.id))
