"""Calls of other workflows, as a workflow makes them."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import to_json

from sessions_app.workflows import registry
from sessions_app.workflows.steps import result_type


@dataclass(frozen=True, slots=True)
class ChildCall:
    """A workflow that `Context.run` is to run. `headers` name the run it belongs to, and its
    trace.
    """

    workflow: str
    message: object
    title: str | None
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The message as it is stored: a text as it is, else its JSON."""
        return self.message if isinstance(self.message, str) else to_json(self.message).decode()


def dump_returned(workflow: registry.Workflow, value: object) -> object:
    """Return a workflow's return value as JSON values, by its annotation, as of a step.

    Raises:
        NotJson, TooLarge: as for the result of a step.
    """
    return result_type(workflow.function, workflow.name).dump(value)


def load_returned(name: str, stored: object) -> object:
    """Load a workflow's return value by its newest version's annotation."""
    declaration = registry.declared_workflows().get(name)
    if declaration is None or declaration.streams:
        return stored
    return result_type(declaration.function, name).load(stored)
