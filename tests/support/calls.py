"""Messages that contain a function call in Python's notation: `stream(tokens=600, delay=0.001)`."""

import ast
import re
from typing import Any, NamedTuple

FORM = "A message is one call with literal arguments, such as stream(tokens=3)."
UNREADABLE = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


class Call(NamedTuple):
    """The function that a message names, and its arguments."""

    name: str
    arguments: list[Any]
    options: dict[str, Any]


def is_call(text: str) -> bool:
    """Return whether the text begins like a call: with a name and a parenthesis."""
    return re.match(r"\s*[A-Za-z]\w*\(", text) is not None


def parse(text: str) -> Call:
    """Return the call that the text contains.

    Raises:
        ValueError: the text is no call with literal arguments.
    """
    try:
        match ast.parse(text.strip(), mode="eval").body:
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                arguments = [ast.literal_eval(argument) for argument in args]
                options = {str(one.arg): ast.literal_eval(one.value) for one in keywords}
                return Call(name, arguments, options)
    except UNREADABLE as error:
        raise ValueError(FORM) from error
    raise ValueError(FORM)
