"""Advice for authors beside the errors that come of common mistakes, for the log and the admin."""

from django.core.exceptions import SynchronousOnlyOperation

ORM = (
    "A workflow uses the database in a step, as a plain function ('def', not 'async def'): `await "
    "context.step(function, …)`, or `context.transactional_step` where it writes. See "
    "docs/steps.md."
)
AWAIT = "A coroutine was used in the place of its result: `await` is missing before the call."


def advise(error: BaseException) -> None:
    """Add to a common error what its author can do about it."""
    if isinstance(error, SynchronousOnlyOperation):
        _add(error, ORM)
    elif isinstance(error, AttributeError | TypeError) and "'coroutine' object" in str(error):
        _add(error, AWAIT)


def _add(error: BaseException, note: str) -> None:
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
