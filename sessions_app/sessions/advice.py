"""What authors of workflows get wrong at first, said beside the error that comes of it."""

from django.core.exceptions import SynchronousOnlyOperation

ORM = (
    "A workflow uses the database in a step: `await context.step(function, …)`, or "
    "`context.transactional_step` where it writes. See docs/writing-workflows.md."
)
AWAIT = "A coroutine was used in the place of its result: `await` is missing before the call."


def advise(error: Exception) -> None:
    """Add what to do about it to the error, for the log and the admin."""
    if isinstance(error, SynchronousOnlyOperation):
        error.add_note(ORM)
    elif isinstance(error, AttributeError | TypeError) and "'coroutine' object" in str(error):
        error.add_note(AWAIT)
