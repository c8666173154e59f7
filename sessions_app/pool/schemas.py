"""Pydantic models of workflows' input and output, made from the annotations of their functions."""

import inspect
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import from_json

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.workflows.context import Message
from sessions_app.workflows.registry import Workflow


class WorkflowInput(BaseModel):
    """The input schema of a workflow whose first argument is a `Message`: a person's text."""

    input_message: str = Field(min_length=1)


@cache
def workflow_input(workflow: Workflow) -> type[BaseModel]:
    """Return the pydantic model of the workflow's input.

    If the first argument is annotated with a pydantic model, this model is returned; any other type
    becomes the field `input_message` of a generated model.
    """
    annotation = _takes(workflow)
    if annotation is Message:
        return WorkflowInput
    return _model(workflow, "Input", annotation, "input_message")


@cache
def single_output(workflow: Workflow) -> type[BaseModel]:
    """Return the pydantic model of the whole result: the annotation, or a wrapper with `value`."""
    annotation = str if workflow.streams else _hints(workflow).get("return", Any)
    return _model(workflow, "Output", annotation)


@cache
def streaming_output(workflow: Workflow) -> type[BaseModel]:
    """Return the pydantic model of one chunk: the annotation, or a wrapper with `value`.

    Without streaming, this is the model of the result.
    """
    if not workflow.streams:
        return single_output(workflow)
    arguments = get_args(_hints(workflow).get("return"))  # (T,) if AsyncIterator[T]
    return _model(workflow, "Chunk", arguments[0] if arguments else str)


def first_argument(workflow: Workflow, message: object) -> Any:
    """Convert the run's input to the first argument of the workflow function.

    The input may be a value that pydantic converts to the argument's type, such a value as JSON
    text, or a dict or model in the form of the input schema.

    Raises:
        Invalid: the workflow does not accept the input; says why.
    """
    annotation, schema = _takes(workflow), workflow_input(workflow)
    if annotation is Message and isinstance(message, Message | str):
        return message if isinstance(message, Message) else Message(message)
    problem: ValidationError | None = None
    message = message.text if isinstance(message, Message) else message
    for value in _readings(message, wraps="input_message" in schema.model_fields):
        try:
            argument: Any = schema.model_validate(value)
        except ValidationError as error:
            problem = error
        else:
            if schema is annotation:
                return argument
            return (
                Message(argument.input_message) if annotation is Message else argument.input_message
            )
    raise Invalid(f"The workflow does not take this message: {_reason(problem)}") from problem


def _readings(message: object, *, wraps: bool) -> Iterator[object]:
    """Yield interpretations of a message, as the whole input or as its field `input_message`."""
    values = [message]
    if isinstance(message, str):
        with suppress(ValueError):
            values.append(from_json(message))
    for value in values:
        yield value
        if wraps:
            yield {"input_message": value}


def _reason(problem: ValidationError | None) -> str:
    errors = problem.errors(include_url=False, include_context=False) if problem else []
    return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors)


@cache
def _takes(workflow: Workflow) -> Any:
    first = next(iter(inspect.signature(workflow.function).parameters))
    return _hints(workflow).get(first, Message)


def _hints(workflow: Workflow) -> JsonObject:
    try:
        return get_type_hints(workflow.function)
    except (NameError, TypeError):  # no hints: a name is imported for type checkers only
        return {}


def _model(
    workflow: Workflow, kind: str, annotation: object, field: str = "value"
) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    name = "".join(part.capitalize() for part in workflow.name.replace("-", "_").split("_"))
    fields: JsonObject = {field: (annotation, ...)}
    config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    return create_model(f"{name}{kind}", __config__=config, **fields)
