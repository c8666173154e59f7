"""Programs of the project that run to their end."""

import subprocess
import sys
from collections.abc import Mapping

from tests.support.processes.environment import ROOT


def run(
    *arguments: str, env: Mapping[str, str], stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments in the project's folder, for at most 100 s."""
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
