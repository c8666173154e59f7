"""The processes of a server: each can be killed, frozen and started again on its own."""

import signal
from pathlib import Path

from tests.support.processes.fork_server import Forked


class Child:
    """A Python program in the project's root, which writes to a log over all its starts."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._arguments = arguments
        self._process: Forked | None = None

    @property
    def process(self) -> Forked:
        """Return the running process."""
        assert self._process is not None, f"{self._log.stem} is not running"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def started(self) -> bool:
        """Return whether it was started, and neither killed nor stopped since."""
        return self._process is not None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, env: dict[str, str]) -> None:
        assert self._process is None, f"{self._log.stem} is running"
        self._process = Forked(list(self._arguments), env, self._log)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, without waiting: SIGSTOP freezes it, SIGCONT lets it go on."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill with SIGKILL, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask to stop with SIGTERM, and wait until it has."""
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
