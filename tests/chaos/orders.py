"""The orders of tests to a server, which suffers them: see `interference`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Orders:
    """The hours by which the clock is wrong, and the shares of messages to lose and to double.

    Also how often it was to delete what is kept no longer; and the KB of memory that each message
    of the channel layer is to lose, for a proof that a leak is found.
    """

    hours: int = 0
    lost: float = 0.0
    doubled: float = 0.0
    cleanings: int = 0
    leaked: int = 0

    def write(self, path: Path) -> None:
        """Give them; they are read whole or not at all."""
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.replace(path)


def interfered(orders: Path) -> dict[str, str]:
    """Return the environment that has a process obey the orders in that file."""
    return {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "INTERFERENCE": str(orders)}
