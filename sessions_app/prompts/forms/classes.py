"""The class of a form: where it is found, also by a process that has never asked it."""

from importlib import import_module
from operator import attrgetter
from typing import Any

from django.forms import BaseForm
from pydantic import BaseModel

from sessions_app.errors import FormChanged

AnyForm = type[BaseForm] | type[BaseModel]


def path_of(form: Any) -> str:
    """Where the class is found.

    Raises:
        TypeError: it is none of a form.
        ValueError: it would not be found there.
    """
    if not (isinstance(form, type) and issubclass(form, BaseForm | BaseModel)):
        raise TypeError(f"a FormPrompt takes the class of a form or a pydantic model, not {form!r}")
    path = f"{form.__module__}:{form.__qualname__}"
    if "<locals>" in path or find(path) is not form:
        raise ValueError(f"{path} does not lead to the form: define it at the top of its module")
    return path


def find(path: str) -> AnyForm:
    """The class.

    Raises:
        FormChanged: it is not there.
    """
    module, _, name = path.partition(":")
    try:
        found = attrgetter(name)(import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise FormChanged(path, f"{error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseForm | BaseModel)):
        raise FormChanged(path, "it is no form")
    return found
