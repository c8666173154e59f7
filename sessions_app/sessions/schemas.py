"""What a workflow takes and gives, as pydantic models made from its annotations."""

from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, Field, create_model

from sessions_app.workflows.registry import Workflow


class WorkflowInput(BaseModel):
    """What every workflow takes: the text that a person wrote."""

    input_message: str = Field(min_length=1)


@cache
def single_output(workflow: Workflow) -> type[BaseModel]:
    """The whole result: the workflow's own model, or one with the result as `value`."""
    annotation = str if workflow.streams else _returns(workflow)
    return _model(workflow, "Output", annotation)


@cache
def streaming_output(workflow: Workflow) -> type[BaseModel]:
    """One chunk: the workflow's own model, or one with the chunk as `value`.

    A workflow that does not stream gives its result as one chunk of text.
    """
    if not workflow.streams:
        return _model(workflow, "Chunk", str)
    arguments = get_args(_returns(workflow))  # of AsyncGenerator[…], AsyncIterator[…]
    return _model(workflow, "Chunk", arguments[0] if arguments else str)


def _returns(workflow: Workflow) -> Any:
    try:
        return get_type_hints(workflow.function).get("return", Any)
    except (NameError, TypeError):  # a name that only type checkers see
        return Any


def _model(workflow: Workflow, kind: str, annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    name = "".join(part.capitalize() for part in workflow.name.replace("-", "_").split("_"))
    return create_model(f"{name}{kind}", value=(annotation, ...))
