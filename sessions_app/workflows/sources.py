"""Sources of workflows beside `@workflow`: each adds keys to the entries of the configuration file.

An application calls `add_source` in its module `workflows`, which is imported at start, before the
file is read.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class WorkflowSource(BaseModel, ABC):
    """A source's keys in an entry of the configuration file: the fields of a subclass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The key that errors of `declare` refer to.
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
    """Add a source; adding it again changes nothing."""
    if source not in _sources:
        _sources.append(source)


def sources() -> tuple[type[WorkflowSource], ...]:
    """Return all sources."""
    return tuple(_sources)


def find_source(entry: Mapping[str, object]) -> type[WorkflowSource] | None:
    """Return the source that has one of the entry's keys."""
    return next((one for one in _sources if one.model_fields.keys() & entry.keys()), None)
