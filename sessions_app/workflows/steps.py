"""Executing a step: in a thread or on the loop, with retries, and its result as JSON."""

import asyncio
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from types import NoneType
from typing import Any, Protocol, TypeAlias, TypeVar, cast, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticSchemaGenerationError, TypeAdapter
from pydantic_core import PydanticSerializationError
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from sessions_app.errors import NotJson, Unrecorded
from sessions_app.journal.journal import CallResult
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.storable import check_size, storable
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.options import Function
from sessions_app.workflows.threads import Begin, step_threads

T = TypeVar("T")
# What a call gives, to be awaited.
Coro: TypeAlias = Coroutine[Any, Any, T]

_END = object()
# Classes of what is read from JSON without an annotation; other values have been made of it.
JSON = (dict, list, str, int, float, NoneType)


class Retry(BaseModel):
    """The retries of a step. `wait` and `max_wait` are seconds, doubled from try to try."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    attempts: int = Field(default=3, ge=1, le=100)
    wait: float = Field(default=0.5, ge=0)
    max_wait: float = Field(default=30, ge=0)
    on: tuple[type[Exception], ...] = (Exception,)


class Caller(Protocol):
    """A context that calls steps. `mistake` is the reason for which one could not be recorded."""

    mistake: Unrecorded | None


@dataclass(slots=True, eq=False)
class RunningStep:
    """A step that is being executed, as the code that it executes finds it."""

    caller: Caller
    name: str
    mistake: Unrecorded | None = None
    attempts: int = 1

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Mark all code in the block, and its tasks and threads, as part of the step.

        Raises:
            Unrecorded: it made a mistake, whatever it made of the error.
        """
        try:
            with bind({running_step: self}):
                yield
        except Unrecorded as error:
            self.mistake = self.mistake or error
        except Exception:
            if self.mistake is None:
                raise
        if self.mistake is not None:
            self.caller.mistake = self.mistake
            raise self.mistake


# The step that the current code is part of.
running_step: ContextVar[RunningStep | None] = ContextVar("running_step", default=None)


def name_of(function: Function) -> str:
    """Return the name of a function where it is defined, wherever that is moved to."""
    plain_function = function.func if isinstance(function, partial) else function
    return str(getattr(plain_function, "__name__", type(plain_function).__name__))


async def execute(function: Function, retry: Retry | None, seconds: float | None = None) -> object:
    """Call it, and again as `retry` says; raises what the last try raised.

    Raises:
        TimeoutError: a try took longer than so many seconds.
    """
    if retry is None:
        return await _try(function, seconds)
    async for attempt in AsyncRetrying(
        stop=stop_after_attempt(retry.attempts),
        wait=wait_exponential_jitter(multiplier=retry.wait, max=retry.max_wait),
        retry=retry_if_exception_type(retry.on) & retry_if_not_exception_type(Unrecorded),
        reraise=True,
    ):
        if (step := running_step.get()) is not None:
            step.attempts = attempt.retry_state.attempt_number
        with attempt:
            return await _try(function, seconds)
    raise AssertionError("AsyncRetrying returns or raises")


async def _try(function: Function, seconds: float | None) -> object:
    if seconds is None:
        return await _call(function)
    loop = asyncio.get_running_loop()
    async with _until(None, seconds) as limit:

        def begin() -> None:
            with suppress(RuntimeError):  # it is over by now
                limit.reschedule(loop.time() + seconds)

        return await _call(function, begin)


@asynccontextmanager
async def _until(deadline: float | None, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout_at(deadline) as limit:
            yield limit
    except TimeoutError:
        if limit.expired():  # else it is the function's own
            raise TimeoutError(f"it took longer than its timeout of {seconds:g} s") from None
        raise


async def _call(function: Function, begin: Begin | None = None) -> object:
    plain_function = function.func if isinstance(function, partial) else function
    if inspect.iscoroutinefunction(plain_function):
        if begin is not None:
            begin()
        return await function()
    result = await step_threads.call(function, begin)
    return await result if inspect.isawaitable(result) else result


async def iterate(
    function: Function, retry: Retry | None, seconds: float | None, step: RunningStep
) -> AsyncGenerator[object, None]:
    """Yield the pieces that a function streams.

    A plain function is called in a thread, and iterated in threads. One that raises before its
    first piece is called again as `retry` says.

    Raises:
        TimeoutError: it takes more than so many seconds in all.
    """
    until = None if seconds is None else asyncio.get_running_loop().time() + seconds
    with step.inside():
        async with _until(until, seconds):
            stream_start = await execute(partial(_begin, function), retry)
            pieces, piece = cast("tuple[AsyncIterator[object], object]", stream_start)
    try:
        while piece is not _END:
            yield piece
            with step.inside():
                if until is None:
                    piece = await anext(pieces, _END)
                else:
                    async with _until(until, seconds):
                        piece = await anext(pieces, _END)
    finally:
        if isinstance(pieces, AsyncGenerator):
            with step.inside():
                await pieces.aclose()


async def _begin(function: Function) -> tuple[AsyncIterator[object], object]:
    """Return what the function streams, and the first piece of it."""
    plain_function = function.func if isinstance(function, partial) else function
    source: Any = (
        function() if inspect.isasyncgenfunction(plain_function) else await _call(function)
    )
    pieces = aiter(source) if hasattr(source, "__aiter__") else _in_threads(iter(source))
    return pieces, await anext(pieces, _END)


async def _in_threads(source: Iterator[object]) -> AsyncGenerator[object, None]:
    while (piece := await step_threads.call(partial(next, source, _END))) is not _END:
        yield piece


def outcome(stored: object, title: str) -> CallResult:
    """Make the record of a step's result. People are shown the beginning of a text."""
    text, limit = stored if isinstance(stored, str) else "", RuntimeSettings.load().MAX_SHOWN
    if len(text) > limit:
        text = f"{text[:limit]}\n\n… and {len(text) - limit:,} characters more."
    return CallResult(stored, title=title, payload=text)


class ResultType:
    """The JSON form of a function's results, by its annotation. A step gives the workflow the same
    value whether it just ran or is replayed.
    """

    def __init__(self, annotation: Any, name: str) -> None:
        self._name = name
        self._annotated = annotation is not Any
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        except PydanticSchemaGenerationError as error:
            raise NotJson(f"The result of step {name}", str(error).splitlines()[0]) from None

    def dump(self, result: object) -> object:
        """Return the result as JSON values.

        Raises:
            NotJson: it has none, or one that comes back as something else.
            TooLarge: it is longer than MAX_STEP_RESULT.
        """
        try:
            stored = self._adapter.dump_python(result, mode="json", warnings="error")
            check_size("The result", stored, "MAX_STEP_RESULT")
            copy = self._adapter.validate_python(stored)
        except (PydanticSerializationError, ValueError) as error:
            raise NotJson(f"The result of step {self._name}", str(error)) from None
        if storable(stored) != stored:
            problem = "it contains a NUL (U+0000) or half a surrogate pair, which cannot be stored"
            raise NotJson(f"The result of step {self._name}", problem)
        for part, new_part in _changed_parts(result, copy, tuples=self._annotated):
            problem = f"a {_kind(part)} in it would come back as a {_kind(new_part)}"
            advice = "have the function's return annotation say what it is"
            raise NotJson(f"The result of step {self._name}", f"{problem}: {advice}")
        return stored

    def load(self, stored: object) -> Any:
        """Load the result from its JSON values."""
        return self._adapter.validate_python(stored)


def _changed_parts(
    result: object, copy: object, *, tuples: bool
) -> Iterator[tuple[object, object]]:
    """Yield each part of a result that comes back from JSON as something else, and as what.

    `tuples`: one may come back as a list, as by an annotation `Sequence`.
    """
    if not isinstance(copy, JSON) or _equal(result, copy):  # the latter is fast, and most are
        return
    if isinstance(copy, dict) and isinstance(result, Mapping) and copy.keys() == result.keys():
        for name, part in copy.items():
            yield from _changed_parts(result[name], part, tuples=tuples)
    elif isinstance(copy, list) and isinstance(result, Sequence if tuples else list):
        if len(result) != len(copy):
            yield result, copy
            return
        for original, part in zip(result, copy, strict=True):
            yield from _changed_parts(original, part, tuples=tuples)
    elif not isinstance(result, type(copy)) or isinstance(copy, dict):
        yield result, copy


def _kind(part: object) -> str:
    """Name the type of a part of a result; of a list also how long it is."""
    return f"list of {len(part)}" if isinstance(part, list) else type(part).__name__


def _equal(value: object, copy: object) -> bool:
    try:
        return bool(value == copy)
    except Exception:  # noqa: BLE001 - an author's class may compare as it likes
        return False


def result_type(function: Function, name: str) -> ResultType:
    """Return the result type of a function."""
    return _type_of(_returns(function), name)


def piece_type(function: Function, name: str) -> ResultType:
    """Return the type of what a function streams: the `T` of its `AsyncIterator[T]` or the like."""
    arguments = get_args(_returns(function))
    return _type_of(arguments[0] if arguments else Any, name)


def _type_of(annotation: Any, name: str) -> ResultType:
    try:
        return _kept_type(annotation, name)
    except TypeError:  # it has no hash, such as `Annotated[int, {}]`
        return ResultType(annotation, name)


# By the annotation: a function may hold all of the run in which it is defined.
@lru_cache(maxsize=1024)
def _kept_type(annotation: Any, name: str) -> ResultType:
    """Make a type, which costs more than many a step."""
    return ResultType(annotation, name)


def _returns(function: Function) -> Any:
    try:
        return get_type_hints(function).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any
