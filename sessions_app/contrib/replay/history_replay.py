"""Replays of recorded runs against the code as it is, without any effect."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sessions_app.contrib.replay.replay_backend import ReplayBackend
from sessions_app.contrib.replay.run_history import RunHistory
from sessions_app.errors import NotReplayable, SessionsError
from sessions_app.journal.journal import line_of
from sessions_app.models import Run, attached_files
from sessions_app.pool.workflow_pool import WorkflowPool
from sessions_app.storage import reads
from sessions_app.workflows import registry
from sessions_app.workflows.request_context import RequestContext
from sessions_app.workflows.run_info import Message

# Seconds that an execution may take: it waits for nothing of its context.
PATIENCE = 10.0
# It does nothing more if in so many rounds of the event loop it calls nothing.
ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of replaying a run. `problem`: why the run could not go on; else empty.

    `differences`: what is not as it is recorded, without harm.
    """

    history: RunHistory
    problem: str
    differences: list[str]


async def replay_history(file: Path | str) -> list[str]:
    """Replay what `manage.py export_history` wrote, with the workflow that is declared now.

    No step is executed and nothing is stored; builders are built. Returns what is not as it is
    recorded, without harm.

    Raises:
        NotReplayable: the run would be suspended, or fail; says why.
        pydantic.ValidationError: it is no such file.
    """
    history = RunHistory.model_validate_json(await asyncio.to_thread(Path(file).read_bytes))
    pool = await WorkflowPool(registry.resolve(history.workflow, None, None)).build()
    try:
        result = await replay(history, pool)
    finally:
        await pool.shutdown()
    if result.problem:
        raise NotReplayable(result.problem)
    return result.differences


async def replay(history: RunHistory, pool: WorkflowPool) -> Replay:
    """Execute the workflow on its record, until it makes a call that is not recorded."""
    backend = ReplayBackend(history)
    problem = ""
    try:
        await _execute(history, pool, backend)
    except SessionsError as error:
        problem = _with_line(str(error), backend.mismatch or error)
    except Exception as error:  # noqa: BLE001 - workflow code may raise anything
        problem = _with_line(f"The workflow raises {type(error).__name__}: {error}.", error)
    return Replay(history, problem, backend.differences)


async def replay_all(runs: Iterable[UUID]) -> AsyncIterator[Replay]:
    """Replay these runs as they stand, one after the other."""
    pools: dict[str, WorkflowPool | SessionsError] = {}
    try:
        for run in runs:
            try:
                history = await reads.read(RunHistory.of, run)
            except Run.DoesNotExist:  # it was deleted meanwhile
                continue
            name = history.workflow
            if name not in pools:
                pools[name] = await _pool(name)
            pool = pools[name]
            if isinstance(pool, SessionsError):
                yield Replay(history, str(pool), [])
            else:
                yield await replay(history, pool)
    finally:
        for pool in pools.values():
            if isinstance(pool, WorkflowPool):
                await pool.shutdown()


async def _pool(name: str) -> WorkflowPool | SessionsError:
    """Build a pool as hosts do, or return the error."""
    try:
        return await WorkflowPool(registry.get(name)).build()
    except SessionsError as error:
        return error


async def _execute(history: RunHistory, pool: WorkflowPool, backend: ReplayBackend) -> None:
    files = attached_files(history.metadata)
    message = Message(history.text, history.client_format, history.message_id, files)
    request = RequestContext.of_stored(
        history.metadata,
        history.user,
        conversation_id=history.conversation_id,
        user_message_id=history.message_id,
    )
    async with (
        pool.open(request) as opened,
        opened.run(opened.run_info(message, str(history.run)), backend, history.version) as runner,
    ):

        async def execute() -> None:
            async with aclosing(runner.result_stream(to_type=str)) as chunks:
                async for _ in chunks:
                    pass

        task = asyncio.create_task(execute())
        try:
            await _until_it_stands(task, backend)
            calls, is_over = dict(runner.execution.calls), task.done()
        finally:
            runner.execution.end()
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)
        if backend.mismatch is not None:
            raise backend.mismatch
        if not is_over:
            return
        error = None if task.cancelled() or history.stop else task.exception()
        if error is None:
            backend.check_complete(calls)
        elif history.status != Run.Status.FAILED or not backend.is_beyond(calls):
            raise error


async def _until_it_stands(task: "asyncio.Task[None]", backend: ReplayBackend) -> None:
    """Wait until the replay is over, or makes no more calls.

    Raises:
        NotReplayable: it waits for something else.
    """
    until, still_rounds, calls = time.monotonic() + PATIENCE, 0, 0
    while still_rounds < ROUNDS and backend.mismatch is None and not task.done():
        if time.monotonic() > until:
            raise NotReplayable(
                f"For {PATIENCE:.0f} s the workflow has made only calls that are recorded. Put "
                "what waits for something else into a step."
            )
        await asyncio.sleep(0 if backend.stands else 0.001)
        still_rounds = still_rounds + 1 if backend.stands and backend.calls == calls else 0
        calls = backend.calls


def _with_line(problem: str, error: BaseException) -> str:
    line = line_of(error)
    return f"{problem} It happened at {line}." if line else problem
