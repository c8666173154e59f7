"""A guard of forks: nobody keeps the answers of a survey that is begun again."""

from sessions_app.conversations.forks import limits
from sessions_app.models import Run


def connect() -> None:
    limits.append(keep_no_answer)


def keep_no_answer(run: Run, last: int) -> int:
    """Return the last position from which the run can be forked: `last`, or one before it."""
    return 1 if run.workflow == "tour" else last
