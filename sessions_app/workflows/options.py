"""The options of a call, told from the arguments of the function that it executes."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from sessions_app.errors import AmbiguousOption
from sessions_app.json_types import JsonObject

# A function of the author's, and one with its arguments.
Function: TypeAlias = Callable[..., Any]
BoundFunction: TypeAlias = "partial[Any]"


class _NotGiven:
    def __repr__(self) -> str:
        return "<not given>"


# The default of each option, so that a None that is meant for the function is noticed.
NOT_GIVEN: Any = _NotGiven()


def explicit_options(function: Function, args: tuple[object, ...], **options: object) -> JsonObject:
    """Return those options that were given.

    Raises:
        AmbiguousOption: the function would take one of them too. A `partial` has its arguments.
    """
    explicit = {name: value for name, value in options.items() if value is not NOT_GIVEN}
    if explicit and not isinstance(function, partial):
        for name in explicit:
            if _takes(function, len(args), name):
                raise AmbiguousOption(name, getattr(function, "__name__", repr(function)))
    return explicit


def plain(function: Function) -> Function:
    """Return the function of a method, or of an object that is called as one.

    A cache of methods would keep a builder alive, and not all objects can be in one.
    """
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - it is called
    unbound: Function = getattr(function, "__func__", function)
    return unbound


def _takes(function: Function, args: int, name: str) -> bool:
    """Return whether the function takes a keyword of this name beside so many arguments."""
    parameters = _parameters(plain(function))
    parameter = parameters.get(name)
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    # `self` is the first of a method's.
    positional_count = args + (plain(function) is not function)
    return (
        parameter.kind is parameter.KEYWORD_ONLY or list(parameters).index(name) >= positional_count
    )


def _parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # some that are built in: they may take whatever is given
        return inspect.signature(lambda **_: None).parameters
