"""The functions that messages can call by name."""

from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from pydantic import ConfigDict, ValidationError, validate_call

from sessions_app.errors import SessionsError
from sessions_app.workflows import Context
from tests.support.calls import parse

Chunks = AsyncGenerator[str, None]
Function = Callable[..., Chunks]
F = TypeVar("F", bound=Function)

FUNCTIONS: dict[str, Function] = {}
CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True)


class WrongCall(SessionsError):
    """The error that a message calls an unknown function, or has wrong arguments.

    The error fails the run. Clients see its text, as with each error of this kind.
    """


def by_message(function: F) -> F:
    """Make the function callable by messages, with arguments of its declared types."""
    FUNCTIONS[function.__name__] = validate_call(config=CONFIG)(function)
    return function


def call(context: Context, text: str) -> Chunks:
    """Call the function that the message names; yield its chunks.

    Raises:
        WrongCall: there is no such function, or an argument is wrong.
    """
    try:
        name, arguments, options = parse(text)
    except ValueError as error:
        raise WrongCall(str(error)) from error
    if name not in FUNCTIONS:
        raise WrongCall(f"There is no {name}(); there are {', '.join(sorted(FUNCTIONS))}.")
    try:
        return FUNCTIONS[name](context, *arguments, **options)
    except ValidationError as error:
        problems = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()]
        raise WrongCall(f"{name}(): {'; '.join(problems)}.") from error
