"""16 producers append to the log, and each waits for every commit: what the writer can do alone."""

import json
from pathlib import Path

from bench.beside.clients import Figures
from tests.support.processes.command import run
from tests.support.processes.environment import environment
from tests.support.server import Template


def measure(template: Template, directory: Path) -> Figures:
    """Measure as the module says."""
    directory.mkdir()
    store = template.store.copy(directory)
    try:
        process = run("-m", "bench.appending", env=environment(directory, **store.environment))
    finally:
        store.drop()
    assert process.returncode == 0, process.stderr
    figures: Figures = json.loads(process.stdout)
    return figures
