"""The options of a call, separated from the arguments of the function that it executes."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from sessions_app.errors import AmbiguousOption
from sessions_app.json_types import JsonObject

# Types of a function that a step calls: the function alone, and with its arguments bound.
Function: TypeAlias = Callable[..., Any]
BoundFunction: TypeAlias = "partial[Any]"


class _NotGiven:
    def __repr__(self) -> str:
        return "<not given>"


# Default of each option of a call. None is no suitable default, because an explicit None may be an
# argument for the function.
NOT_GIVEN: Any = _NotGiven()


def explicit_options(function: Function, args: tuple[object, ...], **options: object) -> JsonObject:
    """Return the options that were given explicitly.

    Raises:
        AmbiguousOption: the function has an argument of that name, too. Bind it by a `partial` to
            resolve the ambiguity.
    """
    explicit = {name: value for name, value in options.items() if value is not NOT_GIVEN}
    if explicit and not isinstance(function, partial):
        for name in explicit:
            if _takes(function, len(args), name):
                raise AmbiguousOption(name, getattr(function, "__name__", repr(function)))
    return explicit


def plain(function: Function) -> Function:
    """Return the underlying function of a method or of a callable object, as a key for caches.

    A cached method would keep its object (a builder) alive, and some objects are not hashable.
    """
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - for calling it
    unbound: Function = getattr(function, "__func__", function)
    return unbound


def _takes(function: Function, args: int, name: str) -> bool:
    """Return whether the function accepts a keyword `name` after `args` positional arguments."""
    parameters = _parameters(plain(function))
    parameter = parameters.get(name)
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    # Count `self`, the first parameter of a method, as a positional argument.
    positional_count = args + (plain(function) is not function)
    return (
        parameter.kind is parameter.KEYWORD_ONLY or list(parameters).index(name) >= positional_count
    )


def _parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a built-in function without a signature: assume any keyword
        return inspect.signature(lambda **_: None).parameters
