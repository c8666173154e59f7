"""Commands of the project that run until they end."""

import subprocess
import sys
from collections.abc import Mapping

import psutil

from tests.support.processes.environment import ROOT


def run(
    *arguments: str, env: Mapping[str, str], stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments in the project's root, for at most 100 s."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def is_running(process: psutil.Process) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
