"""The interface of a running form to its people and to those who check what they did."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.cluster.node import Node


class Form(Protocol):
    """A cluster, or one process."""

    @property
    def cookies(self) -> dict[str, str]:
        """Return the sessions of people, by name."""

    @property
    def users(self) -> Iterator[str]:
        """Return the names of people whom no test has had."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Return the processes that are ours."""

    @property
    def diary(self) -> Path:
        """Return the file of the probes' notes."""

    @property
    def audited(self) -> bool:
        """Return whether the database notes which process writes."""

    def origin(self, number: int) -> str:
        """Return the URL of a web process, without a slash at its end."""

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query; `%s` are the parameters."""

    def true_time(self, at: float) -> float:
        """Return what the machine's clock showed when a process noted a time."""
