"""Which processes there are, and what supervisord is told of them."""

import shlex
import signal
import sys
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natproject.cluster.programs import tied
from natproject.serving import daphne_arguments

if TYPE_CHECKING:
    from natproject.cluster.process import Service

WEB = 2
WORKERS = 3
DRAIN = 5  # seconds a worker has for what runs when all is stopped
NUMBER = "PROCESS_NUMBER"
ROOT = Path(__file__).resolve().parents[2]

# Those that start with supervisord; the others need a migrated database.
AT_ONCE = {"autostart": "true", "startsecs": "0"}
LATER = {"autostart": "false", "startsecs": "1"}


@dataclass(frozen=True)
class Plan:
    """The cluster of a directory and an address. `port` is that of all web processes."""

    directory: Path
    host: str
    port: int

    @property
    def own_ports(self) -> list[int]:
        """The ports of one web process each."""
        return [self.port + 1 + number for number in range(WEB)]

    @property
    def alive_files(self) -> dict[str, Path]:
        """By the names of workers: what each of them touches while it takes work."""
        names = [f"worker-{number}" for number in range(1, WORKERS + 1)]
        return {name: self.directory / f"{name}.alive" for name in names}

    def configuration(self, services: "list[Service]", socket: Path) -> RawConfigParser:
        """Return what supervisord reads. It listens at `socket`."""
        parser = RawConfigParser()
        parser["supervisord"] = {
            "nodaemon": "true",
            "logfile": "/dev/null",
            "logfile_maxbytes": "0",
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
                "priority": "1",  # stopped last
            }
        parser["fcgi-program:web"] = self._web()
        parser["program:worker"] = self._worker()
        return parser

    def _web(self) -> dict[str, str]:
        """One socket for all, which the kernel deals out, and one of its own for each."""
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
            "process_name": _expanded(name),
            "command": _expanded(shlex.join(command)),
            "directory": str(ROOT),
            "autorestart": "true",
            "startretries": "20",
            "stopwaitsecs": str(2 * DRAIN),
            "redirect_stderr": "true",
            "stdout_logfile": _expanded(str(self.directory / f"{name}.log")),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "1",
        }


def _python(*arguments: str) -> list[str]:
    return tied([sys.executable, *arguments], signal.SIGKILL)


def _expanded(text: str) -> str:
    return text.replace("%", "%%").replace(NUMBER, "%(process_num)d")
