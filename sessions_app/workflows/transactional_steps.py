"""Transactional steps: what one writes is committed with the journal entry that has its result."""

import inspect

from django.db import transaction

from sessions_app.errors import SessionsError, Unrecorded
from sessions_app.journal.journal import CallResult
from sessions_app.storage.faults import is_fault
from sessions_app.workflows.options import BoundFunction, Function
from sessions_app.workflows.steps import ResultType, RunningStep, outcome

# What came of an attempt; with `Unrecorded` nothing is recorded, and the run is suspended.
Attempted = CallResult | Unrecorded


class FaultInStep(SessionsError):
    """The database failed what a transactional step asked of it."""


def check_plain(function: Function) -> None:
    """Raise TypeError unless the function is a plain one: Django has no transactions in others."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("transactional_step() takes a plain function: 'def', not 'async def'.")


def attempt(
    function: BoundFunction, returns: ResultType, title: str, step: RunningStep
) -> Attempted:
    """Call the function within the transaction that this thread is in. What it raises undoes what
    it wrote, and nothing else.

    It may be called again, if the transaction does not come to its end.
    """
    try:
        with transaction.atomic(), step.inside():
            stored = returns.dump(function())
    except Unrecorded as error:
        return error
    except BaseException as error:  # the thread that writes has to go on
        if is_fault(error):  # a deadlock, a lost connection: the whole transaction is tried again
            raise FaultInStep from error
        return CallResult.of_error(error, title)
    return outcome(stored, title)
