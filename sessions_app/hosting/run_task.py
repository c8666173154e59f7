"""The task that executes a run in its host's memory, and the reasons for which it leaves."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import aclosing
from enum import Enum
from functools import partial
from typing import TypeVar
from uuid import UUID

from sessions_app.conversations.child_runs import ReturnValue
from sessions_app.errors import (
    BuilderFailed,
    ConversationGone,
    Fenced,
    NonDeterminism,
    RunEnded,
    SessionsError,
    StorageUnavailable,
    TookTooLong,
    TooManyCalls,
    Unrecorded,
    WorkflowError,
)
from sessions_app.hosting import run_writes
from sessions_app.hosting.durable_backend import DurableBackend
from sessions_app.hosting.lease import LeaseFreshness
from sessions_app.hosting.run_selection import StartedRun
from sessions_app.journal.journal import line_of, with_notes
from sessions_app.journal.stop_point import StopPoint
from sessions_app.logs import Log
from sessions_app.models import Run, attached_files
from sessions_app.pool.runner import Runner
from sessions_app.pool.workflow_pool import WorkflowPool
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.connections import close_broken
from sessions_app.storage.faults import is_fault
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.writer import Lane, Work, writer
from sessions_app.workflows.request_context import RequestContext
from sessions_app.workflows.run_info import Message

log = Log(__name__)

T = TypeVar("T")

# Seconds without a call after which a workflow that is replayed waits for something else.
STANDS_AFTER = 0.1


class LeaveReason(Enum):
    """A reason to take a run out of memory before it ends."""

    PARK = "it only waits"
    REPLAY = "a test has it replayed everywhere"
    STOP = "it was asked to stop"
    DRAIN = "its process stops"
    BROKEN = "a write of it failed"
    LOST = "its host has lost the key"
    OVERDUE = "it has done as much as it may"
    BLOCKED = "it held up the event loop"


class BlockedLoop(BaseException):
    """An error that is raised in the code of a run that blocks the event loop. No `Exception`, to
    get out.
    """


class RunTask:
    """The task of a run, which executes the workflow from the top with its journal."""

    # Of its task, before its id.
    NAME = "run "

    def __init__(
        self,
        started_run: StartedRun,
        pool: WorkflowPool,
        lane: Lane,
        freshness: LeaseFreshness,
        *,
        replay_everywhere: bool = False,
    ) -> None:
        self.id = started_run.run.id
        self._started_run = started_run
        self._pool = pool
        self._lane = lane
        self._freshness = freshness
        self._replay_everywhere = replay_everywhere
        self._backend = DurableBackend(
            started_run, self._write, freshness, self._step_ended, self._overdue, self._break_off
        )
        self._runner: Runner | None = None
        self._leave_reason = None if started_run.stop is None else LeaveReason.STOP
        # Its code is told to end here and now: what it gives from then on is nobody's.
        self._thrown_out = False
        self._return_value: ReturnValue | None = None
        self.failure: BaseException | None = None
        # What it may do no more of.
        self._limit: TookTooLong | TooManyCalls | None = None
        # Its end is stored.
        self.ended = False
        self.task: asyncio.Task[None] | None = None

    def start(self, on_end: Callable[["RunTask"], None]) -> None:
        """Begin to execute; `on_end` is called when it is out of memory."""
        self.task = asyncio.create_task(self._drive(), name=f"{self.NAME}{self.id}")
        self.task.add_done_callback(lambda _: on_end(self))

    def leave(self, reason: LeaveReason) -> None:
        """Take the run out of memory. What it did is stored; what it does now is cancelled."""
        if self.task is None or (
            self._leave_reason is not None and not self._stops_no_more(reason)
        ):
            return
        self._leave_reason = reason
        self._backend.output.put()
        if reason is LeaveReason.STOP:
            self._stop()
            return
        if self._runner is not None:
            self._runner.execution.leave()
        if not (self._backend.waiting.in_a_step and reason is LeaveReason.DRAIN):
            self._throw_out()

    def _stops_no_more(self, reason: LeaveReason) -> bool:
        """Return whether a stopped run leaves before its clean-up is over, which goes on
        elsewhere.
        """
        ends_it = reason in (LeaveReason.DRAIN, LeaveReason.LOST, LeaveReason.BROKEN)
        return self._leave_reason is LeaveReason.STOP and ends_it

    def _throw_out(self) -> None:
        self._thrown_out = True
        if self.task is not None:
            self.task.cancel()

    def _stop(self) -> None:
        """Stop the run for a person.

        Its code gets CancelledError, where it waits or at its next call, and may clean up for
        `MAX_STOPPING` seconds.
        """
        if self._runner is None:
            if not self._backend.stop_behind(0, {}).count:  # it has not begun
                self._throw_out()
            return
        execution = self._runner.execution
        stop = self._backend.stop_behind(execution.position, execution.calls)
        self._limit_stop()
        if execution.calls.total() >= stop.count:
            self._interrupt(stop)
        else:  # it is being replayed, and gets there
            self._look_whether_it_stands()

    def _interrupt(self, stop: StopPoint) -> None:
        stop.have_raised()
        if self._runner is not None and self._runner.interrupt() and self.task is not None:
            self.task.cancel()

    def _look_whether_it_stands(self, last: int = -1) -> None:
        """Raise the stop in a replay that makes no further call.

        A run that was stopped while it waited for something else than its context does so in a
        replay too, and makes no call that could raise it.
        """
        stop, runner = self._backend.stop, self._runner
        if (
            self._leave_reason is not LeaveReason.STOP
            or stop is None
            or stop.is_raised
            or runner is None
        ):
            return
        if self.task is None or self.task.done():
            return
        call_count = runner.execution.calls.total()
        if call_count < stop.count or call_count != last:
            next_look = partial(self._look_whether_it_stands, call_count)
            asyncio.get_running_loop().call_later(STANDS_AFTER, next_look)
        else:
            self._interrupt(stop)

    def _limit_stop(self) -> None:
        seconds = RuntimeSettings.load().MAX_STOPPING
        late = asyncio.get_running_loop().call_later(seconds, self._stopped_for_too_long)
        if self.task is not None:
            self.task.add_done_callback(lambda _: late.cancel())

    def _stopped_for_too_long(self) -> None:
        if self.task is None or self.task.done() or self._runner is None:
            return
        if self._leave_reason is LeaveReason.STOP:
            log.error("run.stop_overdue", run=str(self.id))
            self._runner.execution.leave()
            self._throw_out()

    def _overdue(self, limit: TookTooLong | TooManyCalls) -> None:
        self._limit = limit
        self.leave(LeaveReason.OVERDUE)

    def park(self) -> None:
        """Take the run out of memory until an answer, or the end of a sleep, brings it back."""
        self._backend.rest()
        self.leave(LeaveReason.PARK)

    def block(self, stack: str) -> None:
        """Suspend the run, which blocks the event loop.

        Called from outside of the loop, which stands still, and perhaps within the run's own code.
        The caller ends it there. Should it get away, it is cancelled, and can write nothing.
        """
        self._leave_reason = LeaveReason.BLOCKED
        self._lane.failed = True
        self._thrown_out = True
        if self._runner is not None:
            self._runner.execution.leave()
        block = partial(run_writes.block, leased_run=self._started_run.leased_run, stack=stack)
        # In the host's order: it looks at its runs after this.
        write_future = writer.submit(block, Lane(order_of=self._lane))
        write_future.add_done_callback(lambda future: self._log_blocked(future.exception(), stack))
        if self.task is not None:
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)

    def _log_blocked(self, error: BaseException | None, stack: str) -> None:
        # By the writer: what is being executed may hold a lock that the log needs.
        log.error("run.blocked", run=str(self.id), at=stack.splitlines()[-2:], exc_info=error)

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self._started_run.conversation.workflow

    @property
    def module(self) -> str:
        """The name of the module that defines the workflow; empty before the run has begun."""
        return "" if self._runner is None else self._runner.module

    def receive_settlement(self, settlement: InteractionSettled) -> None:
        """Hand the run the final status of one of its interactions."""
        self._backend.waiting.receive_settlement(settlement)

    @property
    def awaited_interactions(self) -> set[UUID]:
        """The interactions that it waits for."""
        return self._backend.waiting.unanswered_interactions

    @property
    def calls_while_working(self) -> int | None:
        """The number of calls that it has made; None while it waits, or a step is under way."""
        if self._runner is None or self.awaits_place or not self._backend.waiting.nothing:
            return None
        return self._runner.execution.calls.total()

    @property
    def awaits_place(self) -> bool:
        """True while the run can do nothing before it has a place under the limit."""
        return self._backend.awaits_place

    def rests_since(self) -> float | None:
        """Return since when (monotonic) the run only waits; None while it works."""
        return None if self._leave_reason is LeaveReason.STOP else self._backend.rests_since()

    async def _drive(self) -> None:
        try:
            await self._execute()
        except asyncio.CancelledError:
            await self._finish_leaving()
        except (Fenced, ConversationGone, StorageUnavailable) as error:
            self.failure = error
        except (NonDeterminism, Unrecorded) as error:
            await self._suspend(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - workflow code may raise anything
            await self._handle_error(error)
        except BaseException:
            if self._leave_reason is not LeaveReason.BLOCKED:
                raise
        else:
            if self._may_end():
                await self._end(Run.Status.COMPLETED)
            else:
                await self._finish_leaving()

    async def _execute(self) -> None:
        await self._freshness.wait_fresh()  # a builder may be built now
        started_run, run = self._started_run, self._started_run.run
        files = attached_files(started_run.metadata)
        message = Message(started_run.text, run.client_format, run.message_id, files)
        request = RequestContext.of_stored(
            started_run.metadata,
            started_run.conversation.owner,
            conversation_id=started_run.conversation.conversation_id,
            user_message_id=run.message_id,
        )
        async with (
            self._pool.open(request) as opened,
            opened.run(
                opened.run_info(message, str(run.id)), self._backend, started_run.version
            ) as runner,
        ):
            self._runner = runner
            if self._leave_reason is LeaveReason.STOP:
                self._limit_stop()
                self._look_whether_it_stands()
            async with aclosing(runner.result_stream(to_type=str)) as chunks:
                async for chunk in chunks:
                    if self._thrown_out:
                        raise asyncio.CancelledError
                    if run.parent is not None and not runner.gives_text:
                        continue  # it is for the parent to make something of
                    self._backend.count(chunk)
                    execution = runner.execution
                    is_repeat = self._backend.is_replayed(execution.calls[""])
                    if not (is_repeat or execution.reads_journal):
                        await self._backend.output.emit(chunk)
            self._backend.check_complete(runner.execution.calls)
            if run.parent is not None and not runner.streams:
                self._return_value = ReturnValue(runner.dump_result())
            self._backend.output.complete()

    async def _finish_leaving(self) -> None:
        if self._leave_reason is LeaveReason.STOP:
            await self._end(Run.Status.CANCELLED)
        elif self._leave_reason is LeaveReason.OVERDUE:
            await self._stop_overdue()
        elif self._leave_reason is LeaveReason.BROKEN and not self._is_excused:
            # The database does not take what the run gives it.
            self._lane = Lane(order_of=self._lane)
            await self._report(self.failure)
        elif self._leave_reason is None:
            raise asyncio.CancelledError

    @property
    def _is_excused(self) -> bool:
        """True if the run broke by no fault of its own, and somebody goes on with it."""
        return isinstance(self.failure, SessionsError) or is_fault(self.failure)

    async def _stop_overdue(self) -> None:
        if isinstance(self._limit, TooManyCalls):  # it may be right to let it go on
            await self._suspend(self._limit)
        else:
            await self._report(self._limit)

    async def _handle_error(self, error: BaseException) -> None:
        if is_fault(error):  # it is taken up again
            self.failure = self.failure or error
            await close_broken()
            return
        if self._leave_reason in (LeaveReason.STOP, LeaveReason.OVERDUE, LeaveReason.BROKEN):
            await self._finish_leaving()
            return
        try:
            self._backend.check_match()  # the workflow may have made another error of it
            if isinstance(error, NonDeterminism):
                raise error
            if self._leave_reason is None:
                self._check_raised(error)
        except NonDeterminism as mismatch:
            await self._suspend(mismatch)
        else:
            if self._may_end():
                await self._report(error)

    def _check_raised(self, error: BaseException) -> None:
        """Raise NonDeterminism if a replay raises this before the calls that are recorded."""
        calls = {"": 0} if self._runner is None else self._runner.execution.calls
        try:
            self._backend.check_complete(calls, f"raises {type(error).__name__}: {error}"[:1000])
        except NonDeterminism as mismatch:
            raise mismatch from error

    async def _suspend(self, error: WorkflowError) -> None:
        """Suspend the run: people read that it is paused, operators what is to be fixed, and where.

        A run that is being stopped ends all the same: it cannot clean up.
        """
        if self._leave_reason is LeaveReason.STOP:
            log.error("run.stop_failed", run=str(self.id), error=str(error))
            await self._finish_leaving()
            return
        detail = _add_location(error, str(error))
        log.error("run.suspended", run=str(self.id), error=detail)
        await self._end(Run.Status.SUSPENDED, type(error).__name__, run_writes.PAUSED, detail)

    async def _report(self, error: BaseException | None) -> None:
        """Fail the run. Our own errors are written for people; those of other code may hold
        internals.
        """
        log.warning("run.failed", run=str(self.id), exc_info=error)
        reason = f"The workflow raised {type(error).__name__}."
        if isinstance(error, BuilderFailed):
            reason = "What the workflow needs could not be built. Try again later."
        elif isinstance(error, SessionsError):
            reason = str(error)
        detail = ""
        if error is not None:
            raised = f"{type(error).__name__}: {with_notes(error)}"
            detail = _add_location(error, raised[:1000])
        detail += f"\n\n{''.join(traceback.format_exception(error))[-8000:]}"
        await self._end(Run.Status.FAILED, "workflow_error", reason, detail)

    async def _end(
        self, status: Run.Status, code: str = "", message: str = "", detail: str = ""
    ) -> None:
        error = {"code": code, "message": message} if code else None
        end = partial(
            run_writes.end,
            leased_run=self._started_run.leased_run,
            status=status,
            text=self._backend.output.last(),
            error=error,
            detail=detail,
            return_value=self._return_value,
        )
        try:
            await writer.write(end, self._lane)
        except SessionsError as failure:
            self.failure = failure
        else:
            self.ended = True

    def _step_ended(self) -> None:
        if self._backend.waiting.in_a_step:  # beside it
            return
        if self._leave_reason is LeaveReason.DRAIN:
            self._throw_out()  # the steps are stored; they need not run again
        elif self._backend.stored_step and self._is_unreplayed():
            self.leave(LeaveReason.REPLAY)

    def _may_end(self) -> bool:
        """Return whether the run may end now: not if it leaves, or is to be replayed first."""
        if self._leave_reason is None and self._is_unreplayed():
            self._leave_reason = LeaveReason.REPLAY
            self._backend.output.put()
        return self._leave_reason is None

    def _is_unreplayed(self) -> bool:
        """Return whether the run is to be replayed everywhere, and has recorded anything since."""
        if not self._replay_everywhere or self._runner is None:
            return False
        return self._backend.has_news(self._runner.execution.calls)

    def _write(self, work: Work[T]) -> "asyncio.Future[T]":
        """Write in the run's lane. A write that fails ends the execution, awaited or not."""
        future = writer.write(work, self._lane)
        future.add_done_callback(self._check_write)
        return future

    def _check_write(self, future: "asyncio.Future[T]") -> None:
        if future.cancelled() or (error := future.exception()) is None:
            return
        if isinstance(error, RunEnded):  # a call that was about to begin
            return
        if isinstance(error, Fenced):
            log.warning("write.fenced", run=str(self.id))
        self._break_off(error)

    def _break_off(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.leave(LeaveReason.BROKEN)


def _add_location(error: BaseException, message: str) -> str:
    """Add to a message the author's line at which the error came up."""
    line = line_of(error)
    return f"{message}\nIt happened at {line}." if line else message
