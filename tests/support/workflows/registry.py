"""The functions that a message can call by their names."""

from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from pydantic import ConfigDict, ValidationError, validate_call

from sessions_app.workflows import Context
from tests.support.calls import parse

Chunks = AsyncGenerator[str, None]
Function = Callable[..., Chunks]
F = TypeVar("F", bound=Function)

FUNCTIONS: dict[str, Function] = {}
CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True)


def by_message(function: F) -> F:
    """Have messages call the function, with arguments of the types that it declares."""
    FUNCTIONS[function.__name__] = validate_call(config=CONFIG)(function)
    return function


def call(context: Context, text: str) -> Chunks:
    """Call what the message writes; return its chunks.

    Raises:
        ValueError: there is no such function, or an argument is wrong.
    """
    name, arguments, options = parse(text)
    if name not in FUNCTIONS:
        raise ValueError(f"There is no {name}(); there are {', '.join(sorted(FUNCTIONS))}.")
    try:
        return FUNCTIONS[name](context, *arguments, **options)
    except ValidationError as error:
        problems = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()]
        raise ValueError(f"{name}(): {'; '.join(problems)}.") from error
