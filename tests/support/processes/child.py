"""The processes of a server, each of which can be killed, frozen and restarted separately."""

import signal
import subprocess
from pathlib import Path

from tests.support.processes.fork_server import Forked

Process = Forked | subprocess.Popen[bytes]


class Child:
    """A Python program in the project's root, which appends to one log at all its starts."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._arguments = arguments
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """Return the running process."""
        assert self._process is not None, f"{self._log.stem} is not running"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def started(self) -> bool:
        """Return whether the process was started, and not killed or stopped since."""
        return self._process is not None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, env: dict[str, str]) -> None:
        assert self._process is None, f"{self._log.stem} is running"
        self._process = Forked(list(self._arguments), env, self._log)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, without waiting: SIGSTOP freezes the process, SIGCONT resumes it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process with SIGKILL, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the process with SIGTERM, and wait for its end."""
        self._end(signal.SIGTERM)

    def wait(self, timeout: float) -> int:
        return self.process.wait(timeout)

    def forget(self) -> None:
        """Forget the process, which has ended by itself."""
        self._process = None

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
