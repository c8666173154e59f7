"""The execution of a step in a thread or in the event loop, its retries, and its result as JSON."""

import asyncio
import inspect
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, time
from functools import lru_cache, partial
from math import isfinite, isnan
from numbers import Real
from typing import Any, Protocol, TypeAlias, TypeVar, cast, get_args, get_type_hints

from django.core.exceptions import SynchronousOnlyOperation
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from sessions_app.errors import NotJson, ResultRefused, TooLarge, Unrecorded
from sessions_app.journal.journal import REFUSED, CallResult, JournalRecord
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.faults import is_fault
from sessions_app.storage.storable import check_size, is_storable
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.options import Function
from sessions_app.workflows.threads import Begin, step_threads

T = TypeVar("T")
Time = datetime | time
# Type of the coroutine that a call of the context returns.
Coro: TypeAlias = Coroutine[Any, Any, T]

_END = object()
# Maximum bits of an integer in a result: Python refuses to parse more than 4,300 digits.
MAX_BITS = 14_284
# Characters that each number, and each part of a list or object, adds to the measured size.
EACH_VALUE = 4
# Number of parts of a result above which a thread converts it, because this takes milliseconds.
MOST_IN_LOOP = 2_000
# Advice on common mistakes for authors of workflows.
ORM = (
    "A workflow uses the database in a step, as a plain function ('def', not 'async def'): `await "
    "context.step(function, …)`, or `context.transactional_step` where it writes. See "
    "docs/steps.md."
)
AWAIT = "A coroutine was used in the place of its result: `await` is missing before the call."


class Retry(BaseModel):
    """The retries of a step. `wait` and `max_wait` are seconds, doubled from try to try."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    attempts: int = Field(default=3, ge=1, le=100)
    wait: float = Field(default=0.5, ge=0)
    max_wait: float = Field(default=30, ge=0)
    on: tuple[type[Exception], ...] = (Exception,)


def check_retry(retry: object) -> None:
    """Raise TypeError unless the argument `retry` is a `Retry` or None."""
    if not isinstance(retry, Retry | None):
        raise TypeError(
            f"retry= takes Retry(attempts=3), from sessions_app.workflows, and not {retry!r:.100}"
        )


def check_seconds(name: str, seconds: object) -> None:
    """Raise TypeError unless the argument `name` is a number of seconds or None."""
    if not isinstance(seconds, Real | None):
        raise TypeError(
            f"{name} takes seconds as a number, and not a {type(seconds).__name__}: the seconds "
            "until a moment are (moment - context.now()).total_seconds(), and a timedelta has "
            "total_seconds()"
        )


class Caller(Protocol):
    """An execution that calls steps; `mistake` is the reason why a step could not be recorded."""

    mistake: Unrecorded | None

    def check_may_call(self) -> None:
        """Raise an error if the context permits no call now, for example after the run's end."""


@dataclass(slots=True, eq=False)
class RunningStep:
    """A step that is being executed; code inside of the step finds it in `running_step`."""

    caller: Caller
    name: str
    mistake: Unrecorded | None = None
    attempts: int = 1

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Mark all code in the block, and its tasks and threads, as part of the step.

        Raises:
            Unrecorded: a call in the step raised this error, even if the step's code caught it.
        """
        try:
            with bind({running_step: self}):
                yield
        except Unrecorded as error:
            self.mistake = self.mistake or error
        except Exception as error:
            advise(error)
            if self.mistake is None:
                raise
        if self.mistake is not None:
            self.caller.mistake = self.mistake
            raise self.mistake


# The step to which the current code belongs.
running_step: ContextVar[RunningStep | None] = ContextVar("running_step", default=None)


def advise(error: BaseException) -> None:
    """Add a note with advice for the author to a common error; the log and the admin show it."""
    note = ""
    if isinstance(error, SynchronousOnlyOperation):
        note = ORM
    elif isinstance(error, AttributeError | TypeError) and "'coroutine' object" in str(error):
        note = AWAIT
    if note and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def name_of(function: Function) -> str:
    """Return a function's `__name__`, which stays the same if the function moves elsewhere."""
    plain_function = function.func if isinstance(function, partial) else function
    return str(getattr(plain_function, "__name__", type(plain_function).__name__))


async def execute(function: Function, retry: Retry | None, seconds: float | None = None) -> object:
    """Call the function, with retries as `retry` says; raise the error of the last try.

    Raises:
        TimeoutError: a try took longer than `seconds`.
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
            with suppress(RuntimeError):  # ignore a timeout that has already passed
                limit.reschedule(loop.time() + seconds)

        return await _call(function, begin)


@asynccontextmanager
async def _until(deadline: float | None, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout_at(deadline) as limit:
            yield limit
    except TimeoutError:
        if limit.expired():  # otherwise the function itself raised the TimeoutError
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

    A plain function is called and iterated in threads. After an error before the first piece, the
    function is called again as `retry` says.

    Raises:
        TimeoutError: the whole stream takes longer than `seconds`.
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
    """Return the iterator of a function's stream, and the first piece."""
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
    """Create the record of a step's result; a text result is shown, cut at MAX_SHOWN characters."""
    text, limit = stored if isinstance(stored, str) else "", RuntimeSettings.load().MAX_SHOWN
    if len(text) > limit:
        text = f"{text[:limit]}\n\n… and {len(text) - limit:,} characters more."
    return CallResult(stored, title=title, payload=text)


class ResultType:
    """A converter of a function's results to JSON and back, by the function's return annotation.

    A workflow gets the converted value from a replay, and also from a step that has just run.
    """

    def __init__(self, annotation: Any, name: str) -> None:
        self._name = name
        self._annotation = repr(annotation)
        self._annotated = annotation is not Any
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        except PydanticUserError as error:
            raise self._refusal(str(error).splitlines()[0]) from None
        # True if results may have times, which count as equal in another time zone. Without an
        # annotation, a time would come back as a text, and is refused.
        schema = repr(self._adapter.core_schema)
        self._has_times = "'type': 'datetime'" in schema or "'type': 'time'" in schema

    def dump(self, result: object, *, any_text: bool = False) -> Any:
        """Return the result as JSON values.

        Args:
            result: the function's result.
            any_text: allow characters that no database stores, because the caller replaces them.

        Raises:
            NotJson: the result has no JSON form, or one that is read back as another value.
            TooLarge: the JSON form is longer than MAX_STEP_RESULT.
        """
        try:
            # Dump by field names, as a field's alias for writing may differ from that for reading.
            stored = self._adapter.dump_python(
                result, mode="json", by_alias=False, round_trip=True, warnings="error"
            )
            check_size("The result", stored, "MAX_STEP_RESULT", each=EACH_VALUE)
            stored = _in_json(stored, any_text=any_text)
            copy = self.load(stored)
        except Exception as error:
            if isinstance(error, TooLarge | Unrecorded) or is_fault(error):
                raise
            raise self._refusal(str(error)) from None
        comparison = Comparison(tuples=self._annotated, times=self._has_times)
        for part, new_part in comparison.changed_parts(result, copy):
            raise self._refusal(_describe_change(part, new_part))
        return stored

    def dump_result(self, result: object, position: int) -> Any:
        """Return the result of the step at a position, as `dump` does.

        Raises:
            ResultRefused: `dump` raised NotJson; the error carries the storable form, if there is
                one.
        """
        try:
            return self.dump(result)
        except NotJson as error:
            kept = None
            with suppress(NotJson, TooLarge, RecursionError):
                kept = type_of(Any, self._name).dump(self._by_classes(result))
            annotation = self._annotation
            raise ResultRefused.at(position, error, kept=kept, annotation=annotation) from None

    def load(self, stored: object) -> Any:
        """Convert stored JSON values to a result of the annotated type."""
        return self._adapter.validate_python(stored, by_alias=True, by_name=True)

    def load_refused(self, entry: JournalRecord) -> Any:
        """Load a stored result that its annotation refused, once the annotation has changed.

        Raises:
            ResultRefused: nothing was kept, or the annotation does not fit.
        """
        error, kept = entry.error or {}, entry.result
        if kept is not None and error[REFUSED] != self._annotation:
            with suppress(ValueError, NotJson):
                value = self.load(kept)
                if self.dump(value) == kept:
                    return value
        raise ResultRefused(error["message"])

    def _refusal(self, reason: str) -> NotJson:
        return NotJson.of(f"The result of step {self._name}", reason)

    def _by_classes(self, result: object) -> Any:
        """Return a result as JSON by the classes of its parts instead of the annotation."""
        if isinstance(result, list):
            return [self._by_classes(part) for part in result]
        if isinstance(result, dict) and all(isinstance(name, str) for name in result):
            return {name: self._by_classes(part) for name, part in result.items()}
        return type_of(type(result), self._name).dump(result)


async def off_loop(work: Callable[[], T], value: object) -> T:
    """Do work on a value: in a thread, unless the value is small, to keep the event loop free."""
    return work() if _is_small(value) else await step_threads.call(work)


def _is_small(value: object) -> bool:
    """Return whether a value has few and short parts."""
    left, values = MOST_IN_LOOP, [value]
    while values:
        part = values.pop()
        left -= 1
        if isinstance(part, str | bytes):
            left -= len(part) // 1000
        elif isinstance(part, dict | list | tuple | set | frozenset | deque):
            left -= len(part)
        if left < 0:
            return False
        if isinstance(part, dict):
            values += part.values()
        elif isinstance(part, list | tuple | set | frozenset | deque):
            values += part
        else:
            values += getattr(part, "__dict__", {}).values()
    return True


def _in_json(value: Any, *, any_text: bool) -> Any:
    """Replace infinite numbers and NaN in JSON values by texts, which pydantic reads as numbers.

    Raises:
        ValueError: a text or a number cannot be stored, or cannot be read again.
    """
    if isinstance(value, dict):
        return {
            _in_json(name, any_text=any_text): _in_json(part, any_text=any_text)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [_in_json(part, any_text=any_text) for part in value]
    if isinstance(value, str) and not (any_text or is_storable(value)):
        problem = "it contains a NUL (U+0000) or half a surrogate pair, which cannot be stored"
        raise ValueError(problem)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError("a number in it has more digits than Python reads (4,300)")
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a step's result with its copy read from JSON.

    `tuples`: ignore that a tuple became a list, as the annotation `Sequence` permits. `times`:
    there may be times, which have to be compared by their zones, too.
    """

    tuples: bool
    times: bool

    def changed_parts(self, result: object, copy: object) -> Iterator[tuple[object, object]]:
        """Yield each part of a result that differs in the copy, and the copy's part."""
        is_equal = _equal(result, copy)
        if is_equal and not self.times:  # a fast check, which is enough for most results
            return
        pairs = _pair_parts(result, copy, tuples=self.tuples)
        if pairs is not None:
            for part, new_part in pairs:
                yield from self.changed_parts(part, new_part)
        elif not (is_equal or _is_beyond_comparison(result, copy)) or _lost_zone(result, copy):
            yield result, copy


def _lost_zone(part: object, copy: object) -> bool:
    """Return whether JSON has replaced a time's zone by the offset of the moment, or lost `fold`.

    A zone of a fixed offset has this offset also without a moment, as `datetime.tzinfo` says.
    """
    if not isinstance(part, Time) or not isinstance(copy, Time):
        return False
    if part.tzinfo is None:
        return part.fold != copy.fold
    return part.tzinfo.utcoffset(None) is None


def _pair_parts(result: Any, copy: Any, *, tuples: bool) -> Iterable[tuple[object, object]] | None:
    """Pair the parts of a result with those of its copy; return None without matching parts."""
    if isinstance(copy, dict) and isinstance(result, Mapping) and copy.keys() == result.keys():
        return [(result[name], part) for name, part in copy.items()]
    sequences = Sequence if tuples and not isinstance(result, str | bytes) else list
    is_list = isinstance(copy, list) and isinstance(result, sequences)
    if is_list or (isinstance(copy, tuple) and type(copy) is type(result)):
        return zip(result, copy, strict=True) if len(result) == len(copy) else None
    if type(result) is not type(copy):
        return None
    if isinstance(copy, BaseModel):
        names = [*type(copy).model_fields, *(copy.model_extra or {}), *(result.model_extra or {})]
    elif is_dataclass(copy):
        names = [field.name for field in fields(copy)]
    else:
        return None
    return [(getattr(result, name, None), getattr(copy, name, None)) for name in names]


def _is_beyond_comparison(result: object, copy: object) -> bool:
    """Return whether two values are of a class without a useful `==`.

    A value of such a class equals nothing, like NaN, or only itself.
    """
    by_identity = type(result).__eq__ is object.__eq__
    is_unequal = not (_equal(result, result) or _equal(copy, copy))
    return type(result) is type(copy) and (by_identity or is_unequal)


def _describe_change(part: object, new_part: object) -> str:
    """Describe how JSON changes a part, and the remedy, but not the value, which may be secret."""
    kind, new_kind = _kind(part), _kind(new_part)
    if _lost_zone(part, new_part):
        return (
            f"a {kind} in it has a time zone of changing offset, or `fold`, which JSON does not "
            "keep: return it in UTC, by astimezone(UTC), and the zone by its name"
        )
    if kind == new_kind and not isinstance(part, dict):
        return (
            f"a value of type {kind} in it would come back as another one: return no secrets, no "
            "fields that are excluded, and nothing that a validator changes"
        )
    advice = "have the function's return annotation say what it is"
    return f"a {kind} in it would come back as a {new_kind}: {advice}"


def _kind(part: object) -> str:
    """Return the name of the type of a result's part; for a list, also the length."""
    return f"list of {len(part)}" if isinstance(part, list) else type(part).__name__


def _equal(value: object, copy: object) -> bool:
    try:
        return bool(value == copy)
    except Exception:  # noqa: BLE001 - an author's `__eq__` may raise anything
        return False


def result_type(function: Function, name: str) -> ResultType:
    """Return the converter for a function's results."""
    return type_of(_returns(function), name)


def piece_type(function: Function, name: str) -> ResultType:
    """Return the converter for a stream's pieces, such as the `T` of an `AsyncIterator[T]`."""
    arguments = get_args(_returns(function))
    return type_of(arguments[0] if arguments else Any, name)


def type_of(annotation: Any, name: str) -> ResultType:
    """Return the converter for an annotation, from a cache if possible."""
    try:
        return _kept_type(annotation, name)
    except TypeError:  # an unhashable annotation, such as `Annotated[int, {}]`
        return ResultType(annotation, name)


# The cache's key is the annotation, not the function: a nested function may keep a run in memory.
@lru_cache(maxsize=1024)
def _kept_type(annotation: Any, name: str) -> ResultType:
    """Build and cache a converter, because building may take longer than the step itself."""
    return ResultType(annotation, name)


def _returns(function: Function) -> Any:
    try:
        return get_type_hints(function).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any
