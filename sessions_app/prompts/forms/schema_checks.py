"""The checks of JSON schemas from elsewhere, in separate processes with limited time and memory.

Whatever a schema has – a `$ref` to itself, a pattern, a million alternatives –, its evaluation
blocks neither the event loop nor the writer, and ends. Callers wait in a thread.
"""

import asyncio
import atexit
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from queue import Empty, LifoQueue
from subprocess import Popen
from typing import TypeVar

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy
from pydantic_core import from_json, to_json

from sessions_app.errors import StorageUnavailable
from sessions_app.json_types import JsonObject
from sessions_app.prompts.forms import checker
from sessions_app.storage.storable import measure

MAX_SCHEMA = 32_000  # maximum bytes of a schema as JSON
MAX_PROPERTIES = 200  # maximum number of properties: each becomes a field of the form
MAX_VALUE = 1 << 20  # maximum bytes of a value as JSON
# Limits of processor time in seconds; typical schemas and values take some milliseconds.
SCHEMA_SECONDS = 0.05
VALUE_SECONDS = 0.2
PROCESSES = 2
# Seconds that a checker process may take to start, before it counts as failed.
START_TIMEOUT = 10.0
# Pauses in seconds before the first, second and third repetition of a check for a run.
PAUSES = (0.5, 2.0, 8.0)
MOST_CHECKED = 256  # maximum number of cached schemas

T = TypeVar("T")

Problems = dict[str, "str | Promise"]
Reply = dict[str, str]


@dataclass(frozen=True, slots=True)
class Patience:
    """The seconds for which a check waits: `turn` for a free process, `reply` for the reply.

    On a busy machine, a reply takes longer than its limit of processor time.
    """

    turn: float | None
    reply: float


# A run waits longer than a person's request, because a replay must get the same result.
OF_A_REQUEST, OF_A_RUN = Patience(1.0, 2.0), Patience(None, 30.0)


class CheckLimitExceeded(Exception):
    """The error of a check that exceeded its processor time or memory."""


class NotChecked(Exception):
    """The error of a check that was not made, because no process is available now."""


def check_schema(schema: JsonObject) -> str:
    """Return a sentence that a JSON schema is unusable, or "". Blocks: see `acheck_schema`."""
    try:
        return _schema_problem(schema, OF_A_REQUEST)
    except NotChecked:
        return "The JSON schema cannot be used: it could not be checked now. Try it again."


def argument_problems(schema: JsonObject, value: object) -> Problems:
    """Return the problems of arguments by name; "" is for the arguments as a whole.

    Blocks: call this function in a thread, or use `aargument_problems`.
    """
    try:
        return _value_problems(schema, value, OF_A_REQUEST)
    except NotChecked:
        return {
            "": pgettext_lazy(
                "hitl", "These values cannot be checked at the moment. Send them again."
            )
        }


async def acheck_schema(schema: JsonObject) -> str:
    """Check a schema as `check_schema` does, in a thread, waiting as long as no process is free.

    Raises:
        StorageUnavailable: the check was impossible despite retries; the run is retried later.
    """
    return await _in_thread(lambda: _schema_problem(schema, OF_A_RUN))


async def aargument_problems(schema: JsonObject, value: object) -> Problems:
    """Check values as `argument_problems` does, in a thread, waiting as long as no process is free.

    Raises:
        StorageUnavailable: the check was impossible despite retries; the run is retried later.
    """
    return await _in_thread(lambda: _value_problems(schema, value, OF_A_RUN))


async def _in_thread(function: Callable[[], T]) -> T:
    # Repeat a check that a busy machine skipped: if a skip were a result, a replay could differ.
    for pause in PAUSES:
        try:
            return await asyncio.get_running_loop().run_in_executor(_threads, function)
        except NotChecked:
            await asyncio.sleep(pause)
    raise StorageUnavailable


def _schema_problem(schema: JsonObject, patience: Patience) -> str:
    problem = _unusable(schema, patience) if schema else ""  # an empty schema is valid
    return f"The JSON schema cannot be used: {problem}." if problem else ""


def _unusable(schema: JsonObject, patience: Patience) -> str:
    """Return the reason why a schema cannot be used, or ""; raises NotChecked."""
    text, properties = _as_json(schema, MAX_SCHEMA), schema.get("properties")
    if text is None:
        return f"it has more than {MAX_SCHEMA:,} bytes of JSON, or is none"
    if isinstance(properties, dict) and len(properties) > MAX_PROPERTIES:
        return f"it has more than {MAX_PROPERTIES} properties"
    try:
        return _check_once(text, patience)
    except CheckLimitExceeded:
        return "its check takes too much work"


def _check_once(schema: str, patience: Patience) -> str:
    """Return the problem of a schema; cached, as a prompt is often made after the same check."""
    problem = _checked.get(schema)
    if problem is None:
        problem = _checkers.check(schema, None, patience).get("", "")
        while len(_checked) >= MOST_CHECKED:
            _checked.pop(next(iter(_checked)), None)
        _checked[schema] = problem
    return problem


def _value_problems(schema: JsonObject, value: object, patience: Patience) -> Problems:
    if not isinstance(value, dict):
        return {"": pgettext_lazy("hitl", "The arguments must be a JSON object.")}
    if (text := _as_json(value, MAX_VALUE)) is None:
        return {
            "": pgettext_lazy(
                "hitl",
                "The values are too large, are nested too deeply, or have a number or a character "
                "that JSON lacks. Send fewer or shorter ones.",
            )
        }
    try:
        if problem := _schema_problem(schema, patience):
            return {"": problem}
        return {**_checkers.check(to_json(schema).decode(), text, patience)}
    except CheckLimitExceeded:
        return {
            "": pgettext_lazy(
                "hitl", "It takes too long to check these values. Send fewer or shorter ones."
            )
        }


def _as_json(value: object, limit: int) -> str | None:
    """Return a value as JSON; None if the JSON would exceed the limit, or the value has no JSON."""
    if measure(value, limit) > limit:
        return None
    try:
        text = to_json(value, inf_nan_mode="constants")
    except ValueError:
        return None
    return text.decode() if len(text) <= limit else None


class _Checkers:
    """The pool of checker processes, started on first use and after a failure."""

    def __init__(self) -> None:
        self._slots: LifoQueue[_Child | None] = LifoQueue()
        for _number in range(PROCESSES):
            self._slots.put(None)

    def check(self, schema: str, value: str | None, patience: Patience) -> Reply:
        """Return the problems of a schema, or of a value by the schema.

        Raises:
            CheckLimitExceeded: the check exceeded its limits.
            NotChecked: no process is free, or none can be started.
        """
        try:
            child = self._slots.get(timeout=patience.turn)
        except Empty as error:
            raise NotChecked from error
        seconds = SCHEMA_SECONDS if value is None else VALUE_SECONDS
        kept = None
        try:
            child = child if child and child.is_alive else _Child()
            reply = child.ask((schema, value, seconds), patience.reply)
            kept = child
        except (OSError, EOFError) as error:
            raise NotChecked from error
        finally:
            self._slots.put(kept)
        return reply

    def stop(self) -> None:
        """End the idle processes."""
        while not self._slots.empty():
            child = self._slots.get()
            if child:
                child.end()


class _Child:
    """A running checker process, and the connection to it."""

    def __init__(self) -> None:
        self._connection, child_end = Pipe()
        # -P keeps the program's folder out of `sys.path`.
        command = [sys.executable, "-P", checker.__file__, str(child_end.fileno())]
        with child_end:
            self._process = Popen(command, pass_fds=[child_end.fileno()])  # noqa: S603 - our own program
        if not self._connection.poll(START_TIMEOUT):
            self.end()
            raise TimeoutError
        self._connection.recv_bytes()

    @property
    def is_alive(self) -> bool:
        """True if the process has not ended."""
        return self._process.poll() is None

    def ask(self, request: tuple[str, str | None, float], patience: float) -> Reply:
        """Send a request and return the reply; if none comes, end the process.

        Raises:
            CheckLimitExceeded: the kernel has killed the process at a limit.
            OSError: the process has failed.
        """
        try:
            self._connection.send(request)
            if not self._connection.poll(patience):
                raise TimeoutError  # give up a slow reply: the kernel ends an excessive check
            reply: Reply = from_json(self._connection.recv_bytes())
        except (OSError, EOFError) as error:
            if self.end() in {-signal.SIGPROF, -signal.SIGABRT, -signal.SIGSEGV}:
                raise CheckLimitExceeded from error
            raise BrokenPipeError from error
        return reply

    def end(self) -> int:
        """End the process; return its status, which is negative for a signal."""
        self._connection.close()
        self._process.kill()
        return self._process.wait()


_checkers = _Checkers()
_checked: dict[str, str] = {}  # cached problems, by the schema's JSON
# A separate thread pool for callers in the event loop, so that waiting checks block no other work.
_threads = ThreadPoolExecutor(max_workers=PROCESSES, thread_name_prefix="schemas")
atexit.register(_checkers.stop)
