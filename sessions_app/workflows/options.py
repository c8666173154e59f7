"""The options of a call, separated from the arguments of the function that it executes."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from sessions_app.errors import AmbiguousOption
from sessions_app.json_types import JsonObject

# A workflow author's function, without its arguments and bound to them.
Function: TypeAlias = Callable[..., Any]
BoundFunction: TypeAlias = "partial[Any]"


class _NotGiven:
    def __repr__(self) -> str:
        return "<not given>"


# Default of each option, to detect an explicit None, which may be meant for the function.
NOT_GIVEN: Any = _NotGiven()


def explicit_options(function: Function, args: tuple[object, ...], **options: object) -> JsonObject:
    """Return the options that were given explicitly.

    Raises:
        AmbiguousOption: the function takes an argument of that name, too. A `partial` is
            unambiguous.
    """
    explicit = {name: value for name, value in options.items() if value is not NOT_GIVEN}
    if explicit and not isinstance(function, partial):
        for name in explicit:
            if _takes(function, len(args), name):
                raise AmbiguousOption(name, getattr(function, "__name__", repr(function)))
    return explicit


def plain(function: Function) -> Function:
    """Return the underlying function of a method or of a callable object.

    Caching a method would keep its builder alive, and some objects are not hashable.
    """
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - for calling it
    unbound: Function = getattr(function, "__func__", function)
    return unbound


def _takes(function: Function, args: int, name: str) -> bool:
    """Return whether the function takes a keyword `name` after `args` positional arguments."""
    parameters = _parameters(plain(function))
    parameter = parameters.get(name)
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    # A method's first parameter is `self`.
    positional_count = args + (plain(function) is not function)
    return (
        parameter.kind is parameter.KEYWORD_ONLY or list(parameters).index(name) >= positional_count
    )


def _parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a built-in function without a signature: assume any keyword
        return inspect.signature(lambda **_: None).parameters
