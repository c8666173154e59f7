"""The asyncio task of a run: executes the workflow, handles a stop, and stores the run's end."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

from sessions_app.conversations.child_runs import ReturnValue
from sessions_app.errors import (
    BuilderFailed,
    ConversationGone,
    Fenced,
    NonDeterminism,
    SessionsError,
    StorageUnavailable,
    TookTooLong,
    Unrecorded,
    for_people,
)
from sessions_app.hosting import run_writes
from sessions_app.hosting.lease import LeaseFreshness
from sessions_app.hosting.recorded_calls import RecordedCalls
from sessions_app.hosting.run_in_memory import RunInMemory
from sessions_app.hosting.run_selection import StartedRun
from sessions_app.hosting.run_states import CODE_CANCELLED, RunEvent, RunState
from sessions_app.journal.journal import line_of, with_notes
from sessions_app.journal.stop_point import StopPoint
from sessions_app.logs import Log
from sessions_app.models import Run, attached_files
from sessions_app.pool.workflow_pool import WorkflowPool
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.connections import close_broken
from sessions_app.storage.faults import is_fault
from sessions_app.storage.writer import Lane, writer
from sessions_app.workflows.context import Message
from sessions_app.workflows.request_context import RequestContext

log = Log(__name__)

# Seconds without a call after which a replayed workflow counts as waiting for something other than
# a call of its context.
IDLE_AFTER = 0.1


class BlockedLoop(BaseException):
    """An error raised inside run code that blocks the event loop. No `Exception`, so that the code
    does not catch the error by `except Exception`.
    """


class Stopping:
    """The stop of one run in memory.

    The workflow code gets CancelledError at its current await or at its next call, and may clean up
    for `MAX_STOPPING` seconds.
    """

    def __init__(self, run: RunInMemory, calls: RecordedCalls) -> None:
        self._run = run
        self._calls = calls

    def begin(self) -> None:
        """Stop the run: calls made from now on are clean-up, which has a time limit."""
        if self._run.runner is None:
            if not self._calls.stop_behind(0, {}).count:  # no call was made: nothing to clean up
                self._run.apply(RunEvent.ABORT)
            return
        execution = self._run.runner.execution
        stop = self._calls.stop_behind(execution.position, execution.calls)
        self._limit_time()
        if execution.calls.total() >= stop.count:
            self._interrupt(stop)
        else:  # wait: the replay under way will reach the stop point
            self._raise_stop_if_idle()

    def resume(self) -> None:
        """Continue a stop of an earlier execution in the execution that begins now."""
        if self._run.state is RunState.STOPPING:
            self._limit_time()
            self._raise_stop_if_idle()

    def _interrupt(self, stop: StopPoint) -> None:
        stop.mark_raised()
        runner, task = self._run.runner, self._run.task
        if runner is not None and runner.interrupt() and task is not None:
            task.cancel()

    def _raise_stop_if_idle(self, last: int = -1) -> None:
        # In a replay of a stopped run, the next call raises CancelledError. A run that was stopped
        # while awaiting anything else makes no next call: interrupt it once no more calls come.
        stop, runner = self._calls.stop, self._run.runner
        if self._run.state is not RunState.STOPPING or runner is None:
            return
        if stop is None or stop.is_raised:
            return
        call_count = runner.execution.calls.total()
        if call_count < stop.count or call_count != last:
            next_check = partial(self._raise_stop_if_idle, call_count)
            asyncio.get_running_loop().call_later(IDLE_AFTER, next_check)
        else:
            self._interrupt(stop)

    def _limit_time(self) -> None:
        seconds = RuntimeSettings.load().MAX_STOPPING
        late = asyncio.get_running_loop().call_later(seconds, self._abort_clean_up)
        if self._run.task is not None:
            self._run.task.add_done_callback(lambda _: late.cancel())

    def _abort_clean_up(self) -> None:
        if self._run.apply(RunEvent.ABORT):
            log.error("run.stop_overdue", run=str(self._run.leased_run.run.id))


class RunTask:
    """The task of a run, which executes the workflow from the top with the run's journal."""

    # Prefix of the asyncio task's name; the run's id follows.
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
        self._freshness = freshness
        self.run = RunInMemory(started_run, lane)
        self._calls = RecordedCalls(
            started_run, self.run, freshness, replay_everywhere=replay_everywhere
        )
        self.waits = self._calls.waits
        self._stopping = Stopping(self.run, self._calls)
        self._return_value: ReturnValue | None = None

    def start(self, on_end: Callable[["RunTask"], None]) -> None:
        """Start the asyncio task; `on_end` is called when the run has left memory."""
        self.run.task = asyncio.create_task(self._drive(), name=f"{self.NAME}{self.id}")
        self.run.task.add_done_callback(lambda _: on_end(self))

    def apply(self, event: RunEvent) -> bool:
        """Apply an event that stops the run or makes it leave memory. Finished work is stored.

        Returns False if the event changes nothing.
        """
        if not self.run.apply(event):
            return False
        if event is RunEvent.STOP:
            self._stopping.begin()
        elif event is RunEvent.DRAIN and not self.waits.has_step:
            self.run.apply(RunEvent.STEPS_OVER)
        return True

    def park(self) -> None:
        """Evict the run until an answer, or the end of a sleep, brings it back."""
        self.waits.mark_waiting()
        self.apply(RunEvent.PARK)

    def block(self, stack: str) -> None:
        """Suspend the run, because its code blocks the event loop.

        The watchdog's thread calls this, or a signal handler that interrupts the run's code. The
        handler then raises an error in the code. If the code continues nevertheless, it is
        cancelled at its next `await`, and cannot store anything.
        """
        self.run.move(RunEvent.BLOCK)
        self.run.lane.failed = True
        if self.run.runner is not None:
            self.run.runner.execution.evict()
        block = partial(run_writes.block, leased_run=self.run.leased_run, stack=stack)
        # Keep the order with the host's writes: the host's next selection must follow this write.
        write_future = writer.submit(block, Lane(order_of=self.run.lane))
        write_future.add_done_callback(lambda future: self._log_blocked(future.exception(), stack))
        if self.run.task is not None:
            self.run.task.get_loop().call_soon_threadsafe(self.run.task.cancel)

    def _log_blocked(self, error: BaseException | None, stack: str) -> None:
        # The writer's thread executes this log call: the interrupted code may hold the log's lock.
        log.error("run.blocked", run=str(self.id), at=stack.splitlines()[-2:], exc_info=error)

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self._started_run.conversation.workflow

    @property
    def module(self) -> str:
        """The name of the module that defines the workflow; empty before the run has begun."""
        return "" if self.run.runner is None else self.run.runner.module

    @property
    def calls_while_working(self) -> int | None:
        """The number of calls made so far; None while the run waits or executes a step."""
        runner = self.run.runner
        if runner is None or self.waits.slot.is_awaited or not self.waits.is_empty:
            return None
        return runner.execution.calls.total()

    def idle_since(self) -> float | None:
        """Return the monotonic time since which the run only waits; None if it also does work."""
        is_stopped = self.run.state in (RunState.STOPPING, RunState.ABORTED)
        return None if is_stopped else self.waits.idle_since()

    async def _drive(self) -> None:
        try:
            await self._execute()
        except asyncio.CancelledError:
            if self.run.state is RunState.WORKING:
                raise  # pass on a cancellation by code other than the host
            await self._finish(RunEvent.UNWOUND)
        except (Fenced, ConversationGone, StorageUnavailable) as error:
            self.run.failure = error
            self.run.move(RunEvent.CUT_OFF)
        except (NonDeterminism, Unrecorded) as error:
            await self._finish(RunEvent.MISMATCHED, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - workflow code may raise anything
            await self._handle_error(error)
        except BaseException:
            if self.run.state is not RunState.BLOCKED:
                raise
            self.run.move(RunEvent.UNWOUND)
        else:
            await self._finish(RunEvent.RETURNED)

    async def _execute(self) -> None:
        await self._freshness.wait_fresh()  # without a fresh lease, no builder may be built
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
                opened.run_info(message, str(run.id)), self._calls, started_run.version
            ) as runner,
        ):
            self.run.runner = runner
            self._stopping.resume()
            async with aclosing(runner.result_stream(to_type=str)) as chunks:
                async for chunk in chunks:
                    if self.run.state in CODE_CANCELLED:
                        raise asyncio.CancelledError
                    if run.parent is not None and not runner.gives_text:
                        continue  # the parent run uses the return value, not this text
                    await self._calls.show_output(chunk, is_repeat=runner.is_repeat)
            self._calls.check_complete(runner.execution.calls)
            if run.parent is not None and not runner.streams:
                self._return_value = ReturnValue(runner.dump_result())
            self.run.output.complete()

    async def _handle_error(self, error: BaseException) -> None:
        if is_fault(error):  # the database failed: evict the run, to resume it later
            self.run.failure = self.run.failure or error
            await close_broken()
            self.run.move(RunEvent.CUT_OFF)
            return
        try:
            if self.run.state in (RunState.WORKING, RunState.DRAINING, RunState.EVICTING):
                self._calls.check_match()  # raise NonDeterminism even if the code caught it
            if self.run.state is RunState.WORKING:
                self._check_raised(error)
        except NonDeterminism as mismatch:
            await self._finish(RunEvent.MISMATCHED, mismatch)
        else:
            await self._finish(RunEvent.RAISED, error)

    def _check_raised(self, error: BaseException) -> None:
        """Raise NonDeterminism if the workflow raised an error before its last recorded call."""
        calls = {"": 0} if self.run.runner is None else self.run.runner.execution.calls
        try:
            self._calls.check_complete(calls, f"raises {type(error).__name__}: {error}"[:1000])
        except NonDeterminism as mismatch:
            raise mismatch from error

    async def _finish(self, event: RunEvent, error: BaseException | None = None) -> None:
        """Apply the event that ended the workflow code; store the end of an ended run."""
        returned = event in (RunEvent.RETURNED, RunEvent.RAISED)
        if returned and self._calls.is_unreplayed() and self.run.move(RunEvent.REPLAY):
            self.run.output.put()
        before = self.run.state
        self.run.move(event)
        if self.run.state is RunState.COMPLETING:
            await self._end(Run.Status.COMPLETED)
        elif self.run.state is RunState.CANCELLING:
            if event is RunEvent.MISMATCHED:  # code that does not match the journal cannot clean up
                log.error("run.stop_failed", run=str(self.id), error=str(error))
            await self._end(Run.Status.CANCELLED)
        elif self.run.state is RunState.SUSPENDING:
            mistake = error if event is RunEvent.MISMATCHED else self.run.mistake
            if mistake is not None:
                await self._suspend(mistake)
        elif self.run.state is RunState.FAILING:
            if before is RunState.BROKEN:  # use a new lane: the database refused data
                self.run.lane, error = Lane(order_of=self.run.lane), self.run.failure
                self.run.failure = None  # reset: only the old lane of writes has failed
            await self._report(TookTooLong() if before is RunState.OVER_TIME else error)

    async def _suspend(self, error: BaseException) -> None:
        """Suspend the run: people see that it is paused, operators see the cause and its line."""
        detail = _add_location(error, str(error))
        log.error("run.suspended", run=str(self.id), error=detail)
        await self._end(Run.Status.SUSPENDED, type(error).__name__, run_writes.PAUSED, detail)

    async def _report(self, error: BaseException | None) -> None:
        """Fail the run, with a message for people and a traceback for operators."""
        log.warning("run.failed", run=str(self.id), exc_info=error)
        reason, detail = "The workflow failed.", ""
        if isinstance(error, BuilderFailed):
            reason = "What the workflow needs could not be built. Try again later."
        elif error is not None:
            reason = for_people(error, "The workflow")
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
            leased_run=self.run.leased_run,
            status=status,
            text=self.run.output.last(),
            error=error,
            detail=detail,
            return_value=self._return_value,
        )
        try:
            await writer.write(end, self.run.lane)
        except SessionsError as failure:
            self.run.failure = self.run.failure or failure
        else:
            self.run.move(RunEvent.STORED)


def _add_location(error: BaseException, message: str) -> str:
    """Append to a message the line of the workflow author's code at which the error occurred."""
    line = line_of(error)
    return f"{message}\nAt {line}." if line else message
