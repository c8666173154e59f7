"""Streamed steps, whose pieces are shown as they come, and recorded when the step ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sessions_app.errors import StepFailed, StreamUnread, TooLarge, Unrecorded
from sessions_app.journal.journal import Call, CallResult, read_recorded
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.faults import is_fault
from sessions_app.storage.storable import measure, storable
from sessions_app.workflows.backend import Backend
from sessions_app.workflows.options import BoundFunction
from sessions_app.workflows.steps import (
    EACH_VALUE,
    ResultType,
    Retry,
    RunningStep,
    iterate,
    off_loop,
)

T = TypeVar("T")
REASONING = "Reasoning"  # the default title of steps that show reasoning


class StreamedText(str):
    """A text that people have already seen; a workflow that yields it shows nothing new."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of a model's reasoning in a stream or output; people see it as a separate step."""

    reasoning: str


class StreamedReasoning(Reasoning):
    """Reasoning that people have already seen; a workflow that yields it shows nothing new."""

    __slots__ = ()
    __hash__ = Reasoning.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reasoning) and other.reasoning == self.reasoning


@dataclass(frozen=True, slots=True)
class StreamedStepOptions:
    """The options of a call of `Context.stream`, which documents them."""

    title: str | None = ""
    show: bool = True
    reasoning: str = REASONING
    retry: Retry | None = None
    timeout: float | None = None


class ShowOutput(Protocol):
    """A callable that shows a piece of text to people.

    `is_repeat`: an earlier execution has already shown the text.
    """

    def __call__(self, text: str, *, is_repeat: bool) -> Awaitable[None]:
        """Show the text."""


class ReasoningSteps:
    """The steps that show people a model's reasoning; consecutive pieces form one step.

    Steps that an earlier execution has shown are only counted, and not shown again.
    """

    def __init__(self, backend: Backend, call: Call, title: str) -> None:
        self._show_part = partial(backend.show_part, call)
        self._title = title
        self._pieces: list[str] = []
        self._number = 0
        self._is_repeat = False

    def add(self, text: str, *, is_repeat: bool = False) -> None:
        """Add a piece to the current step; begin a step if there is none."""
        if not self._pieces:
            self._number += 1
            self._is_repeat = is_repeat or not self._title
            if not self._is_repeat:
                self._show_part(self._number, self._title, None)
        self._pieces.append(text)

    def end(self) -> None:
        """End the current step, if there is one."""
        if self._pieces and not self._is_repeat:
            self._show_part(self._number, self._title, storable("".join(self._pieces)))
        self._pieces.clear()


class StreamedStep:
    """A call of `Context.stream`, without a reference to the `Stream` object that reads it."""

    def __init__(
        self,
        backend: Backend,
        call: Call,
        function: BoundFunction,
        options: StreamedStepOptions,
        show_output: ShowOutput,
        step: RunningStep,
    ) -> None:
        # The task that reads new pieces now. `is_repeat`: the pieces come from the journal.
        self.reader: asyncio.Task[object] | None = None
        self.is_repeat = False
        self._backend = backend
        self._call = call
        self._source = partial(iterate, function, options.retry, options.timeout, step)
        self._options = options
        self._show_output = show_output
        self._step = step
        self._stored: list[object] = []
        self._size, self._limit = 0, RuntimeSettings.load().MAX_STEP_RESULT
        self._reasoning = ReasoningSteps(backend, call, options.reasoning)

    def check_reader(self) -> None:
        """Raise StreamUnread if the current task is inside the loop that reads the stream.

        A call made inside the loop would depend on pieces that are not recorded yet.
        """
        if self.reader is not None and self.reader is asyncio.current_task():
            raise StreamUnread(self._call.name)

    async def read(self, pieces: ResultType) -> AsyncGenerator[Any, None]:
        """Yield the pieces from the journal, or else from the function."""
        self._step.caller.check_may_call()  # a step's code must not read a stream
        entry = self._backend.recall(self._call)
        if entry is not None and entry.finished:
            self.is_repeat = True
            for stored in entry.result:
                yield await self._show_again(stored, pieces)
            self.is_repeat = False
            if entry.error is not None:
                raise StepFailed.of(self._call.name, entry.error)
            return
        if entry is None:
            self._backend.begin(self._call, self._options.title or "")
        self.reader = asyncio.current_task()
        failure: BaseException | None = None
        try:
            async with self._backend.working(self._call):
                try:
                    source = self._source()
                    async with aclosing(source):
                        async for piece in source:
                            yield await self._show_and_store(piece, pieces)
                except (Exception, SystemExit) as error:
                    if isinstance(error, Unrecorded) or is_fault(error):
                        raise  # not an error of the stream's own code: leave no record
                    failure = error
                record = replace(self._record(failure), attempts=self._step.attempts)
                await self._backend.finish(self._call, record)
        finally:
            self.reader = None
        if record.error is not None:
            raise StepFailed.of(self._call.name, record.error) from failure

    def finish_early(self) -> None:
        """Record the pieces so far as the complete stream, because the reader has left its loop."""
        self.is_repeat = False
        if self.reader is not None:
            self.reader = None
            self._backend.note(self._call, self._record(None))

    def forget_reader(self) -> None:
        """Forget the reader: the run is over or evicted, so the loop's end must not be recorded."""
        self.reader = None

    async def _show_and_store(self, piece: object, pieces: ResultType) -> object:
        """Show and store a piece, and return the value that replay will return."""
        if isinstance(piece, str):
            self._reasoning.end()
            text = storable(piece)
            self._keep(text, len(text))
            if not self._options.show:
                return text
            await self._show_output(text, is_repeat=False)
            return StreamedText(text)
        if isinstance(piece, Reasoning):
            piece = Reasoning(storable(piece.reasoning))
            self._reasoning.add(piece.reasoning)
        else:
            self._reasoning.end()
        with self._step.inside():
            stored = await off_loop(partial(pieces.dump, piece), piece)
        self._keep(stored, measure(stored, self._limit, each=EACH_VALUE))
        return _shown(await off_loop(partial(pieces.load, stored), stored))

    async def _show_again(self, stored: object, pieces: ResultType) -> object:
        if not isinstance(stored, str):
            return _shown(read_recorded(pieces.load, stored, self._call))
        if not self._options.show:
            return stored
        await self._show_output(stored, is_repeat=True)
        return StreamedText(stored)

    def _keep(self, stored: object, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise TooLarge("The stream", f"{self._limit:,} characters", "MAX_STEP_RESULT")
        self._stored.append(stored)

    def _record(self, failure: BaseException | None) -> CallResult:
        self._reasoning.end()
        title = self._options.title or ""
        if failure is not None:
            return replace(CallResult.of_error(failure, title), result=self._stored)
        texts = (
            []
            if self._options.show
            else [piece for piece in self._stored if isinstance(piece, str)]
        )
        return CallResult(self._stored, title=title, payload="".join(texts))


def _shown(piece: object) -> object:
    """Return a piece, with reasoning marked as already shown or hidden (StreamedReasoning)."""
    return StreamedReasoning(piece.reasoning) if isinstance(piece, Reasoning) else piece


class Stream(Generic[T], AsyncIterator[T]):
    """The pieces of a streamed step, readable once. Leaving the reading loop ends the step."""

    def __init__(self, step: StreamedStep, pieces: ResultType) -> None:
        self._step = step
        self._values = step.read(pieces)

    def __anext__(self) -> Awaitable[T]:
        """Return the next piece."""
        return self._values.__anext__()

    async def aclose(self) -> None:
        """Stop reading: a replay will yield only the pieces read so far."""
        self._step.finish_early()
        await self._values.aclose()

    def __del__(self) -> None:
        """Record that the loop was left; CPython calls this before the workflow's next call."""
        self._step.finish_early()
