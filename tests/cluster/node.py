"""A process of a cluster, over all its starts."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.checker.history import Life
from tests.support.processes.child import Child

Environment = Callable[[str], Mapping[str, str]]


class Node:
    """A web process or a worker. `lives` has a record of each start."""

    def __init__(
        self, name: str, directory: Path, arguments: list[str], environment: Environment
    ) -> None:
        self.name = name
        self._child = Child(directory / f"{name}.log", *arguments)
        self._environment = environment
        self._frozen_since: float | None = None
        # Nobody has asked it to end. A process manager is a thread: it starts it, or somebody else.
        self._is_wanted = False
        self._lock = threading.RLock()
        self.lives: list[Life] = []

    @property
    def pid(self) -> int:
        with self._lock:
            return self._child.pid

    @property
    def up(self) -> bool:
        """Return whether it runs, frozen or not."""
        with self._lock:
            return self._child.started and self._child.process.poll() is None

    @property
    def frozen(self) -> bool:
        return self._frozen_since is not None

    @property
    def life(self) -> Life:
        """Return its last start."""
        return self.lives[-1]

    @property
    def log(self) -> str:
        """Return all that it has printed, over all its starts."""
        return self._child.log

    def start(self) -> None:
        """Start it, unless it runs; its name in the database tells this start from others."""
        with self._lock:
            self._is_wanted = True
            if self.up:
                return
            self.reap()
            name = f"{self.name}.{len(self.lives) + 1}"
            began = time.time()
            self._child.start(dict(self._environment(name)))
            self.lives.append(Life(name, self.pid, began))

    def keep_up(self) -> None:
        """Start it again if it has ended by itself, as a process manager does."""
        with self._lock:
            if self._is_wanted:
                self.start()

    def kill(self) -> None:
        with self._lock:
            self._is_wanted = False
            if self._child.started:
                self._child.send(signal.SIGKILL)
                self.reap()

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        self._is_wanted = False
        if self.up:
            self._child.send(signal.SIGTERM)

    def freeze(self) -> None:
        """Send SIGSTOP, and wait until it stands still."""
        if self.up and not self.frozen:
            self._child.send(signal.SIGSTOP)
            _until_stopped(self.pid)
            self._frozen_since = time.time()

    def thaw(self) -> None:
        if self._frozen_since is not None:
            self.life.frozen.append((self._frozen_since, time.time()))
            self._frozen_since = None
            self._child.send(signal.SIGCONT)

    def reap(self, timeout: float = 60) -> None:
        """Wait for its end, which was asked for."""
        if not self._child.started:
            return
        self._child.wait(timeout)
        self._child.forget()
        if self._frozen_since is not None:
            self.life.frozen.append((self._frozen_since, time.time()))
            self._frozen_since = None
        self.life.ended = time.time()


def _until_stopped(pid: int) -> None:
    """Wait until the process has stopped: a signal arrives a moment after it was sent."""
    deadline = time.monotonic() + 20
    stat = Path(f"/proc/{pid}/stat")
    while time.monotonic() < deadline and stat.exists():
        if stat.read_text().rpartition(")")[2].split()[0] in "TtZ":
            return
        os.sched_yield()
