"""The project served, as its documents say: by a web server, and a worker where there are several
processes.
"""

import http.client
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from tests.support.host_project.project import Project
from tests.support.processes.environment import HOST
from tests.support.running_form import CLUSTER
from tests.support.server import free_port

PATIENCE = 30  # seconds for a start


@dataclass
class Site:
    """A running project. It has the names of a `Server` that a browser needs."""

    project: Project
    kind: str
    log_file: Path
    port: int = field(default_factory=free_port)
    was_killed: bool = False

    @property
    def url(self) -> str:
        """The origin."""
        return f"http://{HOST}:{self.port}"

    @property
    def command(self) -> list[str]:
        """The plainest way to start the server."""
        application, port = "host.asgi:application", str(self.port)
        return {
            "daphne": ["-m", "daphne", "-p", port, application],
            "uvicorn": ["-m", "uvicorn", "--port", port, application],
            "runserver": ["manage.py", "runserver", "--noreload", port],
        }[self.kind]


@contextmanager
def served(project: Project, kind: str, log_file: Path, **env: str) -> Iterator[Site]:
    """Serve the project until the end of the block."""
    site = Site(project, kind, log_file)
    commands = [site.command, *([["manage.py", "worker"]] if CLUSTER else [])]
    processes = [project.start(log_file, *command, **env) for command in commands]
    try:
        _until_up(site, processes[0])
        yield site
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(PATIENCE)


def _until_up(site: Site, web: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not _answers(site):
        log = site.log_file.read_text()
        assert web.poll() is None, f"it ended:\n{log}"
        assert time.monotonic() < deadline, f"no answer:\n{log}"
        time.sleep(0.05)


def _answers(site: Site) -> bool:
    connection = http.client.HTTPConnection(HOST, site.port, timeout=10)
    try:
        connection.request("GET", "/assistant/health")
        with connection.getresponse() as answer:
            return answer.status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
