"""The runner, which executes a workflow's function for one message of a session."""

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing, contextmanager
from types import AsyncGeneratorType
from typing import Any, TypeVar, cast, overload

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from sessions_app.errors import SessionsError
from sessions_app.journal.tracks import current_track
from sessions_app.pool import schemas
from sessions_app.storage.lineage import running
from sessions_app.workflows.backend import Backend, dump_returned
from sessions_app.workflows.context import Context, RunInfo, current_context
from sessions_app.workflows.context_variables import within
from sessions_app.workflows.execution import Execution
from sessions_app.workflows.registry import Workflow
from sessions_app.workflows.request_context import (
    RequestContext,
    current_request,
    session_user,
    workflow_parent_id,
    workflow_parent_name,
)
from sessions_app.workflows.steps import advise
from sessions_app.workflows.streams import Reasoning, StreamedReasoning, StreamedText

T = TypeVar("T")


class Stop:
    """A switch that stops a session from outside: work in `guard` raises `SessionsError` then."""

    def __init__(self) -> None:
        self._reason = ""
        self._under_way: set[asyncio.Timeout] = set()

    def cancel_all(self, reason: str) -> None:
        """Cancel all work in `guard`, and refuse new work."""
        if not self._reason:
            self._reason = reason
            for limit in self._under_way:
                limit.reschedule(0)  # a time in the past, so the timeout expires immediately

    def check(self) -> None:
        """Check that the session is not stopped.

        Raises:
            SessionsError: the session is stopped; says why.
        """
        if self._reason:
            raise SessionsError(self._reason)

    async def guard(self, work: Awaitable[T]) -> T:
        """Await work until a stop, which cancels the work, but not the caller's task.

        Raises:
            SessionsError: the session was stopped; says why.
        """
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._under_way.add(limit)
                return await work
        except TimeoutError:
            if limit.expired():
                self.check()
            raise
        finally:
            self._under_way.discard(limit)


class Runner:
    """The executor of one run, made by `Session.run`; the result is read once, whole or in chunks.

    The workflow has its own context variables, independent of the task that reads the chunks.
    """

    def __init__(self, workflow: Workflow, info: RunInfo, backend: Backend, stop: Stop) -> None:
        self._workflow = workflow
        self._stop = stop
        self._out = asyncio.Event()
        self.execution = Execution(backend, info.builder)
        self.context = Context(info, self.execution)
        self.failed = False
        self._own = contextvars.copy_context()
        self._own.run(_enter, self.context)
        # The workflow's coroutine or generator, while it is executed.
        self.work: object = None
        self._values: AsyncGeneratorType[object, None] | None = None
        self._returned: object = None
        # `_inside`: True while the workflow executes code or awaits. `_to_throw`: True if the
        # workflow is suspended at a `yield` at which CancelledError must be raised.
        self._inside = self._to_throw = False
        self._backend = backend

    def dump_result(self) -> object:
        """Return the workflow's return value as JSON values.

        Raises:
            NotJson, TooLarge: as for the result of a step.
        """
        return dump_returned(self._workflow, self._returned)

    @property
    def streams(self) -> bool:
        """True if the workflow yields chunks."""
        return self._workflow.streams

    @property
    def gives_text(self) -> bool:
        """True if the workflow puts out text; valid once there is output."""
        return self.streams or isinstance(self._returned, str)

    @property
    def is_repeat(self) -> bool:
        """True if an earlier execution has already stored the output that comes now."""
        execution = self.execution
        return self._backend.is_replayed(execution.calls[""]) or execution.reads_journal

    @property
    def module(self) -> str:
        """The name of the module that defines the workflow."""
        return self._workflow.function.__module__

    @overload
    def result_stream(self) -> AsyncGenerator[Any, None]: ...
    @overload
    def result_stream(self, to_type: type[T]) -> AsyncGenerator[T, None]: ...
    async def result_stream(self, to_type: Any = None) -> AsyncGenerator[Any, None]:
        """Yield the workflow's output in chunks; without streaming, the result is the only chunk.

        Args:
            to_type: convert each chunk to this type, as `convert` does; with `str`, None gives no
                chunk.

        Raises:
            SessionsError: the result was read before, or the manager was shut down.
            pydantic.ValidationError: a chunk does not fit `to_type`.
        """
        try:
            async for value in self._begin():
                if value is not None or to_type is not str:
                    yield value if to_type is None else self.convert(value, to_type)
                    self._stop.check()  # the session may have been stopped during the `yield`
        finally:
            await self._close()

    @overload
    async def result(self) -> Any: ...
    @overload
    async def result(self, to_type: type[T]) -> T: ...
    async def result(self, to_type: Any = None) -> Any:
        """Return the workflow's result; a streaming workflow's chunks are joined as text.

        Args:
            to_type: convert the result to this type, as `convert` does.

        Raises:
            SessionsError: the result was read before, or the manager was shut down.
            pydantic.ValidationError: the result does not fit `to_type`.
        """
        async with aclosing(self._begin()) as values:
            chunks = [value async for value in values]
        result = self._returned
        if self._workflow.streams:
            result = "".join(self.convert(value, str) for value in chunks)
        return result if to_type is None else self.convert(result, to_type)

    @staticmethod
    def convert(value: object, to_type: type[T]) -> T:
        """Convert the value to `to_type`, unless it already has that type.

        A value for `str` becomes JSON text; other types are validated by pydantic.

        Raises:
            pydantic.ValidationError: the value does not fit.
            TypeError: the value is not text, and has no JSON form.
        """
        if isinstance(to_type, type) and isinstance(value, to_type):
            return value
        if to_type is not str:
            return TypeAdapter(to_type).validate_python(value, from_attributes=True)
        try:
            return cast("T", to_json(value).decode())
        except PydanticSerializationError as error:
            todo = "is `await` missing?" if inspect.isawaitable(value) else "give text instead."
            gave = f"The workflow gave a {type(value).__name__}"
            raise TypeError(f"{gave}, which is not text and has no JSON form: {todo}") from error

    def interrupt(self) -> bool:
        """Raise CancelledError in the workflow, because a person stops the run.

        Returns True if the caller has to cancel the task. Otherwise the workflow is suspended at a
        `yield`, and gets the error from the next read.
        """
        self.execution.interrupt()
        self._to_throw = not self._inside
        return self._inside

    async def close(self) -> None:
        """Close the workflow's generator, and end the run: its context then refuses calls."""
        self.execution.end()
        try:
            await self._close()
        finally:
            self.execution.close()

    async def stop(self) -> None:
        """End the run of a stopped session, and wait until the run no longer uses its builder."""
        self.execution.end()
        if self._values is not None and self._values.ag_running:
            await self._out.wait()
        await self.close()

    async def _close(self) -> None:
        # A generator that another task is executing cannot be closed now. The run has ended, so the
        # next call of its context raises an error.
        if self._values is not None and not self._values.ag_running:
            await self._values.aclose()

    def _begin(self) -> AsyncGenerator[object, None]:
        self._stop.check()
        if self._values is not None:
            raise SessionsError("The result of this run was read already; start another run.")
        values = self._chunks() if self._workflow.streams else self._return_value_chunks()
        self._values = cast("AsyncGeneratorType[object, None]", values)
        return self._values

    @contextmanager
    def _call(self) -> Iterator[object]:
        try:
            self.work = self._workflow.function(
                schemas.first_argument(self._workflow, self.context.message), self.context
            )
            yield self.work
            self.execution.check_awaited()
        except Exception as error:
            self.failed = True
            self.execution.reasoning.end()
            advise(error)
            self.execution.check_awaited()  # report a missing `await`, which may be the cause
            raise
        finally:
            self.work = None
            self._inside = False
            self._out.set()

    async def _return_value_chunks(self) -> AsyncGenerator[object, None]:
        """Yield the workflow's return value, unless streamed steps have already shown it."""
        with self._call() as work:
            self._inside = True
            awaitable = cast("Awaitable[object]", work)
            self._returned = await self._stop.guard(within(self._own, awaitable))
            for text in self._backend.take_new_texts():
                yield text
            if not self.execution.has_shown(self._returned):
                yield self._returned

    async def _chunks(self) -> AsyncGenerator[object, None]:
        """Yield the workflow's chunks, except chunks that streamed steps have already shown."""
        with self._call() as work:
            generator = cast("AsyncGeneratorType[object, None]", work)
            reasoning = self.execution.reasoning
            try:
                while True:
                    try:
                        chunk = await self._stop.guard(within(self._own, self._more(generator)))
                    except StopAsyncIteration:
                        break
                    self._inside = False
                    self._stop.check()  # raise even if the workflow caught the CancelledError
                    for text in self._backend.take_new_texts():
                        yield text
                    if isinstance(chunk, StreamedText | StreamedReasoning):
                        continue
                    if isinstance(chunk, Reasoning):
                        reasoning.add(chunk.reasoning, is_repeat=self.is_repeat)
                        continue
                    reasoning.end()
                    yield chunk
                reasoning.end()
                for text in self._backend.take_new_texts():
                    yield text
            finally:
                await within(self._own, generator.aclose())

    def _more(self, generator: AsyncGeneratorType[object, None]) -> Awaitable[object]:
        self._inside = True
        if self._to_throw:
            self._to_throw = False
            return generator.athrow(asyncio.CancelledError())
        return anext(generator)


def _enter(context: Context) -> None:
    # Set the context variables for the workflow's code. A session that the workflow opens shall
    # continue the trace, but must not see the rest of the request, nor the parent.
    current_context.set(context)
    running.set(context.run_id)
    current_track.set("")
    current_request.set(RequestContext(trace=context.trace))
    session_user.set((context.user_id, context.user))
    workflow_parent_id.set(None)
    workflow_parent_name.set(None)
