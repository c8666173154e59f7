"""Supervisor, from its package: starts processes, and starts again those that end."""

import signal
import sys
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, ServerProxy

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped] # has no types

from natproject.cluster.plan import Plan
from natproject.cluster.process import Service
from natproject.cluster.programs import tied


class Unreachable(RuntimeError):
    """Supervisor is not up, or just ending."""


class Supervisor(Service):
    """The process manager. With it end all its processes, also when it is killed."""

    name = "supervisor"
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGTERM
    stop_timeout = 60.0  # it stops its processes one kind after the other

    def __init__(self, plan: Plan, services: list[Service]) -> None:
        """Run the plan's processes, and the services among them."""
        super().__init__(plan.directory)
        self._plan = plan
        self._services = services

    def url(self, name: str = "") -> str:
        """Return where it listens."""
        return f"unix://{self.sockets / 'supervisor.sock'}"

    def answers(self) -> bool:
        """Whether it has started its processes."""
        with suppress(Unreachable):
            return bool(self._call("getState")["statename"] == "RUNNING")
        return False

    def prepare(self) -> None:
        """Make what its processes need, and write its configuration."""
        for service in self._services:
            service.prepare()
        socket = Path(self.url().removeprefix("unix://"))
        parser = self._plan.configuration(self._services, socket)
        with self._configuration.open("w") as file:
            parser.write(file)

    def command(self) -> list[str]:
        """Return the command that runs it in the foreground, tied to who starts it."""
        module = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord"]
        return tied([*module, "-c", str(self._configuration)], self.orphan_signal)

    def start_group(self, name: str) -> None:
        """Start the processes of this name, without waiting for them."""
        self._call("startProcessGroup", name, False)

    def restart_process(self, group: str, name: str) -> None:
        """Stop a process in its own time, and start it, without waiting for that."""
        self._call("stopProcess", f"{group}:{name}")
        self._call("startProcess", f"{group}:{name}", False)

    def pids(self) -> dict[str, int]:
        """Return the ids of the processes that run, by name."""
        return {each["name"]: each["pid"] for each in self._processes() if each["pid"]}

    def given_up(self) -> list[str]:
        """Return the names of those that ended at each start, and are not started again."""
        return [each["name"] for each in self._processes() if each["statename"] == "FATAL"]

    @property
    def _configuration(self) -> Path:
        return self.directory / "supervisor.conf"

    def _processes(self) -> list[dict[str, Any]]:
        return list(self._call("getAllProcessInfo"))

    def _call(self, method: str, *arguments: Any) -> Any:
        # The address is not used: the transport has one.
        proxy = ServerProxy("http://localhost", SupervisorTransport(None, None, self.url()))
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (Error, OSError, HTTPException) as error:
            raise Unreachable(f"Supervisor does not answer: {error!r}") from error
