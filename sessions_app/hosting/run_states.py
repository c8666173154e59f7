"""The states of a run in memory, the events that move it, and the table of its transitions."""

from enum import Enum


class RunState(Enum):
    """A state of a run in memory. From `COMPLETING` on, workflow code has ended."""

    WORKING = "its code is executed, or waits"
    STOPPING = "a person has stopped it, and its code cleans up"
    ABORTED = "it was stopped, and its code is thrown out without more clean-up"
    DRAINING = "its process stops, and its code goes once no step is under way"
    EVICTING = "its code is thrown out: it goes on later, or elsewhere"
    OVER_TIME = "its code is thrown out: it has worked for too long"
    HALTED = "its code is thrown out: it may not go on before somebody has changed something"
    BROKEN = "its code is thrown out: the database has refused a write of it"
    BLOCKED = "its code is thrown out: it held up the event loop, and may write nothing more"
    COMPLETING = "it is being stored as completed"
    CANCELLING = "it is being stored as cancelled"
    FAILING = "it is being stored as failed"
    SUSPENDING = "it is being stored as suspended"
    ENDED = "its end is stored"
    EVICTED = "it is out of memory, and has no end"


class RunEvent(Enum):
    """An event that changes a run's state; those from `RETURNED` on follow the end of its code."""

    PARK = "it only waits"
    REPLAY = "a test has it replayed everywhere"
    STOP = "a person stops it"
    ABORT = "its clean-up cannot begin, or takes too long"
    DRAIN = "its process stops"
    STEPS_OVER = "no step of it is under way"
    LOST = "its host has lost the key"
    FAULT = "a write or a step failed by no fault of the run"
    REFUSED = "the database refused a write of it"
    TOO_LONG = "it has worked for as long as it may"
    HALT = "it does what it may not do"
    BLOCK = "it holds up the event loop"
    RETURNED = "its code has returned"
    RAISED = "its code has raised an error"
    UNWOUND = "its code was cancelled"
    MISMATCHED = "its code does not fit its journal"
    CUT_OFF = "its code ended by a fault of the storage"
    STORED = "its end was committed"


# Each row lists states, events, and the state to which each of the events leads. An event changes
# nothing in a state that no row lists with the event.
TRANSITIONS = """
WORKING | STOP | STOPPING
WORKING | PARK REPLAY | EVICTING
WORKING | TOO_LONG | OVER_TIME
WORKING | HALT | HALTED
WORKING STOPPING | DRAIN | DRAINING
DRAINING | STEPS_OVER | EVICTING
STOPPING | ABORT | ABORTED
ABORTED | DRAIN | EVICTING
WORKING STOPPING ABORTED | LOST FAULT | EVICTING
WORKING STOPPING ABORTED | REFUSED | BROKEN
WORKING | RETURNED | COMPLETING
WORKING | RAISED | FAILING
STOPPING ABORTED | RETURNED RAISED UNWOUND MISMATCHED | CANCELLING
OVER_TIME BROKEN | RETURNED RAISED UNWOUND | FAILING
HALTED | RETURNED RAISED UNWOUND | SUSPENDING
WORKING DRAINING EVICTING OVER_TIME HALTED BROKEN | MISMATCHED | SUSPENDING
DRAINING EVICTING | RETURNED RAISED UNWOUND | EVICTED
BLOCKED | RETURNED RAISED UNWOUND MISMATCHED | EVICTED
WORKING STOPPING ABORTED DRAINING EVICTING OVER_TIME HALTED BROKEN | BLOCK | BLOCKED
WORKING STOPPING ABORTED DRAINING EVICTING OVER_TIME HALTED BROKEN BLOCKED | CUT_OFF | EVICTED
COMPLETING CANCELLING FAILING SUSPENDING | DRAIN LOST | EVICTING
COMPLETING CANCELLING FAILING SUSPENDING | BLOCK | BLOCKED
COMPLETING CANCELLING FAILING SUSPENDING BLOCKED | STORED | ENDED
"""
TABLE = {
    (RunState[state], RunEvent[event]): RunState[target.strip()]
    for states, events, target in (row.split("|") for row in TRANSITIONS.strip().splitlines())
    for state in states.split()
    for event in events.split()
}
# States in which the workflow code is cancelled unconditionally; further output is ignored.
CODE_CANCELLED = {
    RunState.ABORTED,
    RunState.EVICTING,
    RunState.OVER_TIME,
    RunState.HALTED,
    RunState.BROKEN,
    RunState.BLOCKED,
}
