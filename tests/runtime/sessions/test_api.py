"""The public names of the session API: their documentation, and the schemas."""

import ast
import inspect
import re
from collections.abc import AsyncGenerator, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from sessions_app.errors import UnknownWorkflow
from sessions_app.sessions import (
    builder,
    builder_pool,
    manager,
    runner,
    schemas,
    session,
    standalone,
)
from sessions_app.sessions.manager import SessionManager
from sessions_app.workflows import (
    Context,
    Message,
    backend,
    concurrency,
    context,
    context_variables,
    request_context,
    run_info,
    trace,
)
from tests.support.sessions import declare, managing

MODULES = [
    builder,
    context,
    backend,
    session,
    context_variables,
    builder_pool,
    request_context,
    runner,
    schemas,
    run_info,
    manager,
    concurrency,
    standalone,
    trace,
]
# Names of quantities, and a word of the docstring (its own or its class's) that gives the unit.
UNITS = {
    r"_ms$": "millisecond",
    r"seconds?$": "second",
    r"wait(ed)?$": "second",
    r"timeout$": "second",
    r"trace_id$|span_id$": "bits",
}


def public(module: ModuleType) -> Iterator[tuple[str, Any, Any]]:
    """Each public name that the module defines: its path, itself, and the class that it is in."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(thing):
            yield f"{module.__name__}.{name}", thing, None
            for member, found in vars(thing).items():
                plain = inspect.unwrap(
                    getattr(found, "fget", None) or getattr(found, "__func__", found)
                )
                if not member.startswith("_") and isinstance(plain, FunctionType):
                    yield f"{module.__name__}.{name}.{member}", plain, thing
        elif isinstance(thing, FunctionType):
            yield f"{module.__name__}.{name}", inspect.unwrap(thing), None


NAMES = [found for module in MODULES for found in public(module)]
each = pytest.mark.parametrize(
    ("path", "thing", "owner"),
    NAMES,
    ids=[path.removeprefix("sessions_app.") for path, *_ in NAMES],
)


@each
def test_every_public_name_has_a_docstring(path: str, thing: Any, owner: Any) -> None:
    assert (thing.__doc__ or "").strip(), path


@each
def test_every_argument_and_result_has_a_type(path: str, thing: Any, owner: Any) -> None:
    if isinstance(thing, FunctionType):
        named = [
            name for name in inspect.signature(thing).parameters if name not in ("self", "cls")
        ]
        assert {*named, "return"} <= set(thing.__annotations__), path


@each
def test_every_quantity_has_its_unit_in_the_docstring(path: str, thing: Any, owner: Any) -> None:
    if isinstance(thing, FunctionType):
        names = [thing.__name__, *inspect.signature(thing).parameters]
        text = (thing.__doc__ or "") + (owner.__doc__ or "" if owner else "")
        # A quantity is a number; `timeout` in a name of an event is none.
        names = [name for name in names if is_number(thing, name)]
    else:
        names = list(getattr(thing, "__annotations__", {}))
        text = thing.__doc__ or ""
    for name in names:
        for pattern, word in UNITS.items():
            if re.search(pattern, name):
                assert word in text, f"{path}: {name} is in what unit?"


def is_number(function: FunctionType, name: str) -> bool:
    annotation = function.__annotations__.get("return" if name == function.__name__ else name)
    return str(annotation) in ("<class 'int'>", "<class 'float'>", "int", "float")


@each
def test_every_error_that_is_raised_is_in_the_docstring(path: str, thing: Any, owner: Any) -> None:
    if not isinstance(thing, FunctionType):
        return
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(thing)).strip())
    raised = {
        getattr(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    for name in raised - {""}:
        assert name in (thing.__doc__ or ""), f"{path} raises {name}"


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


async def test_a_result_fits_its_schema() -> None:
    async with managing(declare(model)) as manager, manager.run("x") as runner:
        result = await runner.result(to_type=Quote)
        assert isinstance(result, manager.get_workflow_single_output_schema())


async def test_a_workflow_is_found_by_its_name_with_its_configuration() -> None:
    manager = await SessionManager.create(entry_function="calculator", max_concurrency=0)
    assert manager.workflow.name == "calculator"
    assert (await SessionManager.create(entry_function="calculator")).config.max_concurrency == 64
    with pytest.raises(UnknownWorkflow, match="nothing"):
        await SessionManager.create(entry_function="nothing")
