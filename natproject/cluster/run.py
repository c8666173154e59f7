"""The cluster from its start to its end."""

import fcntl
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event

from natproject.cluster.plan import ROOT, Plan
from natproject.cluster.programs import ServiceFailed
from natproject.cluster.servers import PostgreSQL, Redis
from natproject.cluster.supervisor import Supervisor, Unreachable
from natproject.serving import EVERY_ADDRESS

Say = Callable[[str], None]
START_TIMEOUT = 120.0
LOOK_AGAIN = 0.5  # seconds


class Cluster:
    """PostgreSQL, Redis, web processes and workers, under a process manager."""

    def __init__(self, plan: Plan, secret_key: str, lock: int) -> None:
        """Take the secret that all its processes share, and the lock of the plan's directory."""
        self.plan = plan
        self.postgresql = PostgreSQL(plan.directory)
        self.redis = Redis(plan.directory)
        self.supervisor = Supervisor(plan, [self.postgresql, self.redis])
        self.supervisor.inherited = (lock,)
        self.environment = {
            "DATABASE_URL": self.postgresql.url("chat"),
            "REDIS_URL": self.redis.url(),
            "SECRET_KEY": secret_key,
            "HOST": plan.host,
            "PORT": str(plan.port),
            "FILES_DIR": str(plan.directory / "files"),
        }

    def start(self) -> str:
        """Start all; return the link that signs in.

        Raises:
            ServiceFailed: something did not start.
        """
        os.environ.update(self.environment)  # for all that is started from here on
        preparing = subprocess.Popen(
            [sys.executable, "-m", "natproject.cluster.prepare"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # at Ctrl-C it has nothing to say
        )
        try:
            self.supervisor.start()
            self.postgresql.wait_ready(START_TIMEOUT, self._ended)
            self.postgresql.create("chat")
            link, _ = preparing.communicate("go\n", START_TIMEOUT)
        finally:
            preparing.kill()
        if preparing.returncode:
            raise ServiceFailed("The database could not be prepared.")
        # One after the other, for few cores: the link works once web processes serve, and by the
        # time somebody has asked something, workers are there too.
        self.supervisor.start_group("web")
        for port in self.plan.own_ports:
            self._wait(f"web-{port}", partial(_serves, self.plan.host, port))
        self.supervisor.start_group("worker")
        return link.strip()

    def restart(self) -> None:
        """Start all that is ours anew: one process after another, each when the last is ready.

        The workers come first: what new web processes offer, the old workers do not know.

        Raises:
            ServiceFailed: one did not get ready; those after it go on as they were.
        """
        for name, alive in self.plan.alive_files.items():
            alive.unlink(missing_ok=True)
            self.supervisor.restart_process("worker", name)
            self._wait(name, alive.exists)
        for port in self.plan.own_ports:
            self.supervisor.restart_process("web", f"web-{port}")
            self._wait(f"web-{port}", partial(_serves, self.plan.host, port))

    def _restarted(self) -> str:
        try:
            self.restart()
        except ServiceFailed as error:
            return f"{error} Those after it go on as they were."
        return "All workers and web processes were restarted."

    def watch(self, say: Say, restarts: Event) -> None:
        """Tell what is started again, for as long as the process manager lives.

        `restarts` is set by who wants a rolling restart.
        """
        known: dict[str, int] = {}
        told: set[str] = set()
        while self.supervisor.running:
            with suppress(Unreachable):
                if restarts.is_set():
                    restarts.clear()
                    say(self._restarted())
                for name, pid in self.supervisor.pids().items():
                    if known.setdefault(name, pid) != pid:
                        say(f"{name} ended, and was started again as {pid}.")
                    known[name] = pid
                for name in set(self.supervisor.given_up()) - told:
                    say(f"{name} ends at each start. See {self.plan.directory / name}.log.")
                    told.add(name)
            time.sleep(LOOK_AGAIN)
        raise ServiceFailed("The process manager was killed, and all with it.")

    def stop(self) -> None:
        """Stop all: web processes, workers, Redis, PostgreSQL."""
        self.supervisor.stop()

    def _ended(self) -> bool:
        with suppress(Unreachable):
            return bool(self.supervisor.given_up())
        return not self.supervisor.running

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if time.monotonic() > deadline or self._ended():
                log = self.plan.directory / f"{name}.log"
                raise ServiceFailed(f"{name} did not start. See {log}.")
            time.sleep(0.05)


@contextmanager
def alone(directory: Path) -> Iterator[int]:
    """Hold the lock of a directory; gives what a process inherits to hold it too.

    Raises:
        ServiceFailed: another holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceFailed(
                f"A cluster runs in {directory}, or is just stopping. Stop it, or name another "
                "place: DATA_DIR=/tmp/other PORT=9000 make cluster."
            ) from None
        yield file.fileno()


def _serves(host: str, port: int) -> bool:
    client = http.client.HTTPConnection(EVERY_ADDRESS.get(host, host), port, timeout=5)
    try:
        with closing(client):
            client.request("GET", "/health")
            return client.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
