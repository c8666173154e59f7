"""What a check finds: a fact, and what to do where it is not as it should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only `wrong` makes a deployment unwell."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `todo` says what a person can do about it."""

    level: Level
    text: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """`look` is not called while the check named `needs` finds something wrong."""

    name: str
    look: Callable[[], Iterator[Finding]]
    needs: str = ""


def ok(text: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, text)


def warning(text: str, todo: str = "") -> Finding:
    """It works, and somebody should look at it."""
    return Finding(Level.WARNING, text, todo)


def wrong(text: str, todo: str) -> Finding:
    """It does not work, or will not for long."""
    return Finding(Level.WRONG, text, todo)
