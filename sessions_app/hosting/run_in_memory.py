"""A run in memory: its state, its writes, and the cancellation of its code in certain states."""

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sessions_app.errors import Fenced, RunEnded, SessionsError, WorkflowError
from sessions_app.hosting.output import Output
from sessions_app.hosting.run_selection import StartedRun
from sessions_app.hosting.run_states import CODE_CANCELLED, TABLE, RunEvent, RunState
from sessions_app.hosting.run_writes import LeasedRun
from sessions_app.logs import Log
from sessions_app.pool.runner import Runner
from sessions_app.storage.faults import is_fault
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, Work, writer

log = Log(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class RunInMemory:
    """The state of a run in memory that its task, calls, waits and limits share."""

    def __init__(self, started_run: StartedRun, lane: Lane) -> None:
        self.leased_run = started_run.leased_run
        self.lane = lane
        self.state = RunState.WORKING if started_run.stop is None else RunState.STOPPING
        self.output = Output(self.leased_run, started_run.cut, self.write)
        self.task: asyncio.Task[None] | None = None
        self.runner: Runner | None = None
        self.failure: BaseException | None = None
        # The reason why the run was halted.
        self.mistake: WorkflowError | None = None

    def move(self, event: RunEvent) -> bool:
        """Make the transition for an event; return False if the table has none for this state."""
        target = TABLE.get((self.state, event))
        self.state = target or self.state
        return target is not None

    def apply(self, event: RunEvent) -> bool:
        """Change the state by an event; cancel the workflow code in the states `CODE_CANCELLED`.

        Finished steps and text are stored; a step that is still running is cancelled.
        """
        if not self.move(event):
            return False
        self.output.put()
        if self.state is not RunState.STOPPING and self.runner is not None:
            self.runner.execution.evict()
        if self.state in CODE_CANCELLED and self.task is not None:
            self.task.cancel()
        return True

    def halt(self, mistake: WorkflowError) -> None:
        """Suspend the run, because its code does what it may not do."""
        self.mistake = mistake
        self.apply(RunEvent.HALT)

    def apply_error(self, error: BaseException) -> None:
        """Evict the run after a database error.

        The run continues later, unless the database refused data of the run.
        """
        self.failure = self.failure or error
        is_excused = isinstance(self.failure, SessionsError) or is_fault(self.failure)
        self.apply(RunEvent.FAULT if is_excused else RunEvent.REFUSED)

    def write(self, work: Work[T]) -> "asyncio.Future[T]":
        """Queue a write after the run's earlier writes. A failed write ends the run's execution."""
        future = writer.write(work, self.lane)
        future.add_done_callback(self._check_write)
        return future

    def record(
        self,
        work: Callable[Concatenate[Transaction, LeasedRun, P], T],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> "asyncio.Future[T]":
        """Queue a write of this run by a function of the module `run_writes`."""
        return self.write(lambda tx: work(tx, self.leased_run, *arguments, **keywords))

    def _check_write(self, future: "asyncio.Future[T]") -> None:
        if future.cancelled() or (error := future.exception()) is None:
            return
        if isinstance(error, RunEnded):  # expected: the run ended before this call
            return
        if isinstance(error, Fenced):
            log.warning("write.fenced", run=str(self.leased_run.run.id))
        self.apply_error(error)
