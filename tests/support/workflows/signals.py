"""Receivers of the signals, for tests: connected if PROBE_SIGNALS names a file.

Each signal appends a line `NAME RUN` to the file. If another file exists with the suffix `.kill`,
the next signal removes that file instead, and kills its process as `kill -9` does.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from sessions_app.models import Interaction, Run
from sessions_app.signals import SIGNALS


def _receive(name: str, run: object) -> None:
    path = Path(os.environ["PROBE_SIGNALS"])
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}.kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    with path.open("a") as log:
        log.write(f"{name} {run}\n")


def run_finished(run: Run, **_: Any) -> None:
    """Receive `run_finished`."""
    _receive("run_finished", run.pk)


def interaction_opened(interaction: Interaction, **_: Any) -> None:
    """Receive `interaction_opened`."""
    _receive("interaction_opened", interaction.run_id)


async def interaction_settled(interaction: Interaction, **_: Any) -> None:
    """Receive `interaction_settled` by a coroutine, because receivers may be asynchronous."""
    _receive("interaction_settled", interaction.run_id)


if os.environ.get("PROBE_SIGNALS"):
    for receiver in (run_finished, interaction_opened, interaction_settled):
        SIGNALS[receiver.__name__].connect(receiver)
