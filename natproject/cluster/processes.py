"""The processes of `make cluster`, and the configuration of Supervisor for them."""

import fcntl
import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from xmlrpc.client import Error, ServerProxy

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped] # has no types

from natproject.cluster.programs import ServiceFailed, tie_to_parent
from natproject.cluster.servers import PostgreSQL, Redis, Service
from natproject.serving import EVERY_ADDRESS, daphne_arguments
from sessions_app.json_types import JsonObject

WEB = 2
WORKERS = 3
DRAIN = 5  # seconds that a worker's running steps may take when the cluster stops
NUMBER = "PROCESS_NUMBER"
ROOT = Path(__file__).resolve().parents[2]

# AT_ONCE: started together with supervisord. LATER: web processes and workers, which need a
# migrated database.
AT_ONCE = {"autostart": "true", "startsecs": "0"}
LATER = {"autostart": "false", "startsecs": "1"}
Say = Callable[[str], None]
START_TIMEOUT = 120.0
LOOK_AGAIN = 0.5  # seconds between two checks of the processes


@dataclass(frozen=True)
class Plan:
    """The directory and the address of a cluster; all web processes share `port`."""

    directory: Path
    host: str
    port: int

    @property
    def own_ports(self) -> list[int]:
        """The ports of the single web processes."""
        return [self.port + 1 + number for number in range(WEB)]

    @property
    def alive_files(self) -> dict[str, Path]:
        """The files that workers touch while acquiring jobs, by the worker's name."""
        names = [f"worker-{number}" for number in range(1, WORKERS + 1)]
        return {name: self.directory / f"{name}.alive" for name in names}

    def configuration(self, services: list[Service], socket: Path) -> RawConfigParser:
        """Return the configuration for supervisord, which listens at `socket`."""
        parser = RawConfigParser()
        parser["supervisord"] = {
            "nodaemon": "true",
            "logfile": "/dev/null",
            "logfile_maxbytes": "0",
            # Write no log lines to stdout: on a full disk, a failed write would end supervisord.
            "silent": "true",
            "pidfile": str(self.directory / "supervisor.pid"),
        }
        parser["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
        parser["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        for service in services:
            parser[f"program:{service.name}"] = {
                **self._program(service.name, service.command()),
                **AT_ONCE,
                "stopsignal": service.stop_signal.name.removeprefix("SIG"),
                "priority": "1",  # a low number: supervisord stops these services last
            }
        parser["fcgi-program:web"] = self._web()
        parser["program:worker"] = self._worker()
        return parser

    def _web(self) -> dict[str, str]:
        """Configure web processes that share one socket, and have another socket each."""
        arguments = ["--fd", "0", *daphne_arguments(self.host, NUMBER)]
        return {
            **self._program(f"web-{NUMBER}", _python("-m", "daphne", *arguments)),
            **LATER,
            "socket": f"tcp://{self.host}:{self.port}",
            "numprocs": str(WEB),
            "numprocs_start": str(self.port + 1),
            "priority": "3",
        }

    def _worker(self) -> dict[str, str]:
        alive = str(self.directory / f"worker-{NUMBER}.alive")
        arguments = ["manage.py", "worker", "--drain", str(DRAIN), "--alive-file", alive]
        return {
            **self._program(f"worker-{NUMBER}", _python(*arguments)),
            **LATER,
            "numprocs": str(WORKERS),
            "numprocs_start": "1",
            "priority": "2",
        }

    def _program(self, name: str, command: list[str]) -> dict[str, str]:
        return {
            "process_name": _expand(name),
            "command": _expand(shlex.join(command)),
            "directory": str(ROOT),
            "autorestart": "true",
            "startretries": "20",
            "stopwaitsecs": str(2 * DRAIN),
            "redirect_stderr": "true",
            "stdout_logfile": _expand(str(self.directory / f"{name}.log")),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "1",
        }


def _python(*arguments: str) -> list[str]:
    return tie_to_parent([sys.executable, *arguments], signal.SIGKILL)


def _expand(text: str) -> str:
    return text.replace("%", "%%").replace(NUMBER, "%(process_num)d")


class Unreachable(RuntimeError):
    """The error that Supervisor is not running, or is just ending."""


class Supervisor(Service):
    """The process manager; its processes end together with it, even after a SIGKILL."""

    name = "supervisor"
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGTERM
    stop_timeout = 60.0  # seconds; long, as Supervisor stops one kind of process after another

    def __init__(self, plan: Plan, services: list[Service]) -> None:
        super().__init__(plan.directory)
        self._plan = plan
        self._services = services

    def url(self, name: str = "") -> str:
        """Return the address that Supervisor listens on."""
        return f"unix://{self.sockets / 'supervisor.sock'}"

    def answers(self) -> bool:
        """Return whether Supervisor has started its processes."""
        with suppress(Unreachable):
            return bool(self._call("getState")["statename"] == "RUNNING")
        return False

    def prepare(self) -> None:
        """Create the directories for the processes, and write the configuration."""
        for service in self._services:
            service.prepare()
        socket = Path(self.url().removeprefix("unix://"))
        parser = self._plan.configuration(self._services, socket)
        with self._configuration.open("w") as file:
            parser.write(file)

    def command(self) -> list[str]:
        module = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord"]
        return tie_to_parent([*module, "-c", str(self._configuration)], self.orphan_signal)

    def start_group(self, name: str) -> None:
        """Start a group of processes, without waiting until all run."""
        self._call("startProcessGroup", name, False)

    def restart_process(self, group: str, name: str) -> None:
        """Stop a process gracefully, and start it again without waiting for the start."""
        self._call("stopProcess", f"{group}:{name}")
        self._call("startProcess", f"{group}:{name}", False)

    def pids(self) -> dict[str, int]:
        """Return the ids of running processes by name."""
        return {process["name"]: process["pid"] for process in self._processes() if process["pid"]}

    def given_up(self) -> list[str]:
        """Return the names of processes abandoned by Supervisor after failing at each start."""
        return [process["name"] for process in self._processes() if process["statename"] == "FATAL"]

    @property
    def _configuration(self) -> Path:
        return self.directory / "supervisor.conf"

    def _processes(self) -> list[JsonObject]:
        return list(self._call("getAllProcessInfo"))

    def _call(self, method: str, *arguments: object) -> Any:
        # The URL is a placeholder: the transport has the real address.
        proxy = ServerProxy("http://localhost", SupervisorTransport(None, None, self.url()))
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (Error, OSError, http.client.HTTPException) as error:
            raise Unreachable(f"Supervisor does not answer: {error!r}") from error


class Cluster:
    """PostgreSQL, Redis, web processes and workers, under a process manager."""

    def __init__(self, plan: Plan, secret_key: str, lock: int) -> None:
        """Set up a cluster by its plan, the shared secret key, and the lock's descriptor."""
        self.plan = plan
        self.postgresql = PostgreSQL(plan.directory)
        self.redis = Redis(plan.directory)
        self.supervisor = Supervisor(plan, [self.postgresql, self.redis])
        self.supervisor.inherited_files = (lock,)
        self.environment = {
            "DATABASE_URL": self.postgresql.url("chat"),
            "REDIS_URL": self.redis.url(),
            "SECRET_KEY": secret_key,
            "HOST": plan.host,
            "PORT": str(plan.port),
            "FILES_DIR": str(plan.directory / "files"),
        }

    def start(self) -> str:
        """Start all processes; return the sign-in link.

        Raises:
            ServiceFailed: a process did not start.
        """
        os.environ.update(self.environment)  # all processes started below inherit the variables
        preparation = subprocess.Popen(
            [sys.executable, "-m", "natproject.cluster.prepare"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # keeps Ctrl-C away, which would print a traceback
        )
        try:
            self.supervisor.start()
            self.postgresql.wait_ready(START_TIMEOUT, self._has_ended)
            self.postgresql.create("chat")
            link, _ = preparation.communicate("go\n", START_TIMEOUT)
        finally:
            preparation.kill()
        if preparation.returncode:
            raise ServiceFailed("The database could not be prepared.")
        # Start web processes before workers, to save time on few cores: the link works as soon as
        # web processes serve, and workers are up by the first message.
        self.supervisor.start_group("web")
        for port in self.plan.own_ports:
            self._wait(f"web-{port}", partial(_serves, self.plan.host, port))
        self.supervisor.start_group("worker")
        return link.strip()

    def restart(self) -> None:
        """Restart workers and web processes, each once the previous one is ready.

        Workers come first, because old workers lack the workflows that new web processes may offer.

        Raises:
            ServiceFailed: a process did not get ready; later ones are not restarted.
        """
        for name, alive in self.plan.alive_files.items():
            alive.unlink(missing_ok=True)
            self.supervisor.restart_process("worker", name)
            self._wait(name, alive.exists)
        for port in self.plan.own_ports:
            self.supervisor.restart_process("web", f"web-{port}")
            self._wait(f"web-{port}", partial(_serves, self.plan.host, port))

    def watch(self, say: Say, restarts: Event) -> None:
        """Report restarts of processes as long as the process manager lives.

        Setting the event `restarts` requests a rolling restart.
        """
        pids: dict[str, int] = {}
        reported_names: set[str] = set()
        while self.supervisor.running:
            with suppress(Unreachable):
                if restarts.is_set():
                    restarts.clear()
                    try:
                        self.restart()
                        say("All workers and web processes were restarted.")
                    except ServiceFailed as error:
                        say(f"{error} Those after it go on as they were.")
                for name, pid in self.supervisor.pids().items():
                    if pids.setdefault(name, pid) != pid:
                        say(f"{name} ended, and was started again as {pid}.")
                    pids[name] = pid
                for name in set(self.supervisor.given_up()) - reported_names:
                    say(f"{name} ends at each start. See {self.plan.directory / name}.log.")
                    reported_names.add(name)
            time.sleep(LOOK_AGAIN)
        raise ServiceFailed("The process manager was killed, and all with it.")

    def _has_ended(self) -> bool:
        with suppress(Unreachable):
            return bool(self.supervisor.given_up())
        return not self.supervisor.running

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if time.monotonic() > deadline or self._has_ended():
                log = self.plan.directory / f"{name}.log"
                raise ServiceFailed(f"{name} did not start. See {log}.")
            time.sleep(0.05)


@contextmanager
def alone(directory: Path) -> Iterator[int]:
    """Hold the lock of a directory; yield the file descriptor, with which children hold it too.

    Raises:
        ServiceFailed: another process holds the lock.
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
