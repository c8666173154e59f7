"""Tests of the session API's public names: documentation and schemas."""

import ast
import inspect
import re
from collections.abc import AsyncGenerator, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import FunctionType, ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from sessions_app import sessions
from sessions_app.errors import UnknownWorkflow
from sessions_app.sessions.manager import SessionManager
from sessions_app.workflows import Context, Message
from sessions_app.workflows.config import WorkflowConfig
from tests.support.sessions import declare, managing

MODULES = [
    *(f"sessions_app.sessions.{module.name}" for module in iter_modules(sessions.__path__)),
    *("sessions_app.workflows.backend", "sessions_app.workflows.concurrency"),
    *("sessions_app.workflows.context", "sessions_app.workflows.context_variables"),
    "sessions_app.workflows.request_context",
]
# Patterns for names of quantities, and the unit that the docstring of the function or class must
# name.
UNITS = {
    r"_ms$": "millisecond",
    r"seconds?$": "second",
    r"wait(ed)?$": "second",
    r"timeout$": "second",
    r"trace_id$|span_id$": "bits",
}


def public(module: ModuleType) -> Iterator[tuple[str, Any, Any]]:
    """Yield each public name that a module defines: its path, the object, and its class."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(thing):
            yield f"{module.__name__}.{name}", thing, None
            for member, attribute in vars(thing).items():
                plain = inspect.unwrap(
                    getattr(attribute, "fget", None) or getattr(attribute, "__func__", attribute)
                )
                if not member.startswith("_") and isinstance(plain, FunctionType):
                    yield f"{module.__name__}.{name}.{member}", plain, thing
        elif isinstance(thing, FunctionType):
            yield f"{module.__name__}.{name}", inspect.unwrap(thing), None


NAMES = [public_name for name in MODULES for public_name in public(import_module(name))]
FUNCTIONS = [public_name for public_name in NAMES if isinstance(public_name[1], FunctionType)]


def test_every_quantity_has_its_unit_in_the_docstring() -> None:
    assert len(NAMES) > 100
    without_unit = [
        (path, name)
        for path, thing, owner in NAMES
        for name in quantities(thing)
        for pattern, word in UNITS.items()
        if re.search(pattern, name)
        and word not in f"{thing.__doc__} {owner.__doc__ if owner else ''}"
    ]
    assert without_unit == []


def quantities(thing: Any) -> list[str]:
    """Return the names that stand for numbers in a function; of a class all annotated names."""
    if not isinstance(thing, FunctionType):
        return list(getattr(thing, "__annotations__", {}))
    names = [thing.__name__, *inspect.signature(thing).parameters]
    return [name for name in names if is_number(thing, name)]


def is_number(function: FunctionType, name: str) -> bool:
    annotation = function.__annotations__.get("return" if name == function.__name__ else name)
    return str(annotation) in ("<class 'int'>", "<class 'float'>", "int", "float")


def test_every_error_that_is_raised_is_in_the_docstring() -> None:
    unnamed = [
        (path, name)
        for path, function, _ in FUNCTIONS
        for name in errors_of(function)
        if name not in (function.__doc__ or "")
    ]
    assert unnamed == []


def errors_of(function: FunctionType) -> set[str]:
    """Return a function's error classes by name."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)).strip())
    error_names = {
        getattr(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    return error_names - {""}


class Quote(BaseModel):
    title: str


async def text(message: Message, context: Context) -> str:
    return message.text


async def numbers(message: Message, context: Context) -> list[int]:
    return [1, 2]


async def model(message: Message, context: Context) -> Quote:
    return Quote(title=message.text)


async def chunks(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield message.text


async def models(message: Message, context: Context) -> AsyncGenerator[Quote, None]:
    yield Quote(title=message.text)


async def untyped(message, context):  # type: ignore[no-untyped-def]  # authors may leave it out
    return {"any": 1}


@pytest.mark.parametrize(
    ("function", "single", "chunk"),
    [
        (text, {"value": "string"}, {"value": "string"}),
        (numbers, {"value": "array"}, {"value": "array"}),
        (model, {"title": "string"}, {"title": "string"}),
        (chunks, {"value": "string"}, {"value": "string"}),
        (models, {"value": "string"}, {"title": "string"}),
        (untyped, {"value": None}, {"value": None}),
    ],
)
async def test_schemas_are_of_the_workflows_annotations(
    function: Any, single: dict[str, Any], chunk: dict[str, Any]
) -> None:
    async with managing(declare(function)) as manager:
        assert types(manager.get_workflow_input_schema()) == {"input_message": "string"}
        assert types(manager.get_workflow_single_output_schema()) == single
        assert types(manager.get_workflow_streaming_output_schema()) == chunk


def types(schema: type[BaseModel]) -> dict[str, Any]:
    properties = schema.model_json_schema()["properties"]
    return {name: one.get("type") for name, one in properties.items()}


async def test_a_workflow_is_found_by_its_name_with_its_configuration() -> None:
    manager = await SessionManager.create(entry_function="calculator", max_concurrency=0)
    assert manager.workflow.name == "calculator"
    assert (await SessionManager.create(entry_function="calculator")).config.max_concurrency == 64
    own_config = WorkflowConfig(options={"max_operations": 2})
    manager = await SessionManager.create(own_config, entry_function="calculator")
    assert manager.options.model_dump()["max_operations"] == 2
    with pytest.raises(UnknownWorkflow, match="nothing"):
        await SessionManager.create(entry_function="nothing")
