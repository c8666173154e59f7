"""Sources of workflows other than `@workflow`; each adds keys to entries of the configuration file.

An application calls `add_source` in its module `workflows`, which is imported at start, before the
file is read.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class WorkflowSource(BaseModel, ABC):
    """A source of workflows; a subclass has a field for each of its keys in the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The configuration key at which errors of `declare` are reported.
    key: ClassVar[str]

    @abstractmethod
    def declare(self, name: str, folder: Path) -> None:
        """Declare the workflow of that name, as `@workflow` does.

        Args:
            folder: the folder of the configuration file, for paths relative to it.

        Raises:
            ImproperlyConfigured: there is no such workflow; the message says what to do.
        """


_sources: list[type[WorkflowSource]] = []


def add_source(source: type[WorkflowSource]) -> None:
    """Add a source of workflows, unless it was added before."""
    if source not in _sources:
        _sources.append(source)


def sources() -> tuple[type[WorkflowSource], ...]:
    """Return all sources of workflows that applications have added."""
    return tuple(_sources)


def find_source(entry: Mapping[str, object]) -> type[WorkflowSource] | None:
    """Return the source to which a key of this configuration entry belongs, or None."""
    return next((one for one in _sources if one.model_fields.keys() & entry.keys()), None)
