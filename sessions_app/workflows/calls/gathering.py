"""Several calls of a context at once, with one outcome whatever ends first."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sessions_app.errors import ChildFailed, NothingCame, PromptExpired, StepFailed, WorkflowError

# What the journal has of a call that failed.
RECORDED = (ChildFailed, NothingCame, PromptExpired, StepFailed)


async def gather(
    calls: Sequence[Coroutine[Any, Any, Any]],
    is_call: Callable[[Any], bool],
    *,
    return_exceptions: bool,
) -> list[Any]:
    """See `Context.gather`. What is not recorded, such as that the run ends, is raised at once."""
    if not all(map(is_call, calls)):
        for call in calls:
            if asyncio.iscoroutine(call):
                call.close()
        raise TypeError(
            "context.gather() takes calls of the context, such as context.step(…) without await: "
            "a coroutine of your own makes its calls in an order that replay does not have."
        )
    found = await asyncio.gather(*map(_outcome, calls))
    failed = [one.error for one in found if isinstance(one, _Failed)]
    if failed and not return_exceptions:
        raise failed[0]
    return [one.error if isinstance(one, _Failed) else one for one in found]


class _Failed:
    def __init__(self, error: WorkflowError) -> None:
        self.error = error


async def _outcome(call: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await call
    except RECORDED as error:
        return _Failed(error)
