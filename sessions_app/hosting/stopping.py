"""The stop of a run by a person: where its code learns of it, and how long it may clean up."""

import asyncio
from functools import partial

from sessions_app.hosting.recorded_calls import RecordedCalls
from sessions_app.hosting.run_in_memory import RunInMemory
from sessions_app.hosting.run_states import RunEvent, RunState
from sessions_app.journal.stop_point import StopPoint
from sessions_app.logs import Log
from sessions_app.settings import RuntimeSettings

log = Log(__name__)

# Seconds without a call after which a workflow that is replayed waits for something else.
STANDS_AFTER = 0.1


class Stopping:
    """The stop of one run in memory.

    Its code gets CancelledError, where it waits or at its next call, and may clean up for
    `MAX_STOPPING` seconds.
    """

    def __init__(self, run: RunInMemory, calls: RecordedCalls) -> None:
        self._run = run
        self._calls = calls

    def begin(self) -> None:
        """Stop the run behind all that it has done."""
        if self._run.runner is None:
            if not self._calls.stop_behind(0, {}).count:  # it has not begun
                self._run.leave(RunEvent.GIVE_UP)
            return
        execution = self._run.runner.execution
        stop = self._calls.stop_behind(execution.position, execution.calls)
        self._limit()
        if execution.calls.total() >= stop.count:
            self._interrupt(stop)
        else:  # it is being replayed, and gets there
            self._look_whether_it_stands()

    def go_on(self) -> None:
        """Go on with the stop, if there is one, in the execution that begins now."""
        if self._run.state is RunState.STOPPING:
            self._limit()
            self._look_whether_it_stands()

    def _interrupt(self, stop: StopPoint) -> None:
        stop.have_raised()
        runner, task = self._run.runner, self._run.task
        if runner is not None and runner.interrupt() and task is not None:
            task.cancel()

    def _look_whether_it_stands(self, last: int = -1) -> None:
        """Raise the stop in a replay that makes no further call.

        A run that was stopped while it waited for something else than its context does so in a
        replay too, and makes no call that could raise it.
        """
        stop, runner = self._calls.stop, self._run.runner
        if self._run.state is not RunState.STOPPING or runner is None:
            return
        if stop is None or stop.is_raised:
            return
        call_count = runner.execution.calls.total()
        if call_count < stop.count or call_count != last:
            next_look = partial(self._look_whether_it_stands, call_count)
            asyncio.get_running_loop().call_later(STANDS_AFTER, next_look)
        else:
            self._interrupt(stop)

    def _limit(self) -> None:
        seconds = RuntimeSettings.load().MAX_STOPPING
        late = asyncio.get_running_loop().call_later(seconds, self._give_up)
        if self._run.task is not None:
            self._run.task.add_done_callback(lambda _: late.cancel())

    def _give_up(self) -> None:
        if self._run.leave(RunEvent.GIVE_UP):
            log.error("run.stop_overdue", run=str(self._run.leased_run.run.id))
