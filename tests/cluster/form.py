"""What people, and those who look at what they did, see of a form of the application."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.cluster.node import Node


class Form(Protocol):
    """A cluster, or one process."""

    @property
    def cookies(self) -> dict[str, str]:
        """The sessions of people, by name."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The processes that are ours."""

    @property
    def diary(self) -> Path:
        """What the probes note."""

    @property
    def audited(self) -> bool:
        """Whether the database notes which process writes."""

    def origin(self, number: int) -> str:
        """The URL of a web process, without a slash at its end."""

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """What a query reads; `%s` are the parameters."""

    def true_time(self, at: float) -> float:
        """What the machine's clock showed when a process noted a time."""
