"""A served project, as the documents describe: a web server and, in the form of many processes, a
worker.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from tests.support.host_project.project import Project
from tests.support.polling import PATIENCE, until
from tests.support.processes.environment import HOST
from tests.support.running_form import CLUSTER
from tests.support.server import free_port, health

HEALTH = "/assistant/health"


@dataclass
class Site:
    """A running project. Attributes that a browser needs are named as those of `Server`."""

    project: Project
    kind: str
    log_file: Path
    bare: bool = False
    port: int = field(default_factory=free_port)
    was_killed: bool = False

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def command(self) -> list[str]:
        """Return the simplest command that starts the server."""
        application = "host.bare_asgi:application" if self.bare else "host.asgi:application"
        port = str(self.port)
        return {
            "daphne": ["-m", "daphne", "-p", port, application],
            "uvicorn": ["-m", "uvicorn", "--port", port, application],
            "runserver": ["manage.py", "runserver", "--noreload", port],
        }[self.kind]


@contextmanager
def serve(
    project: Project, kind: str, log_file: Path, env: dict[str, str], *, bare: bool = False
) -> Iterator[Site]:
    """Serve the project until the end of the block; `bare` uses Django's own ASGI application."""
    site = Site(project, kind, log_file, bare)
    commands = [site.command, *([["manage.py", "worker"]] if CLUSTER and not bare else [])]
    env = env | ({"DJANGO_SETTINGS_MODULE": "host.bare"} if bare else {})
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
    well = HTTPStatus.SERVICE_UNAVAILABLE if site.bare else HTTPStatus.OK

    def is_well() -> bool:
        assert web.poll() is None, f"it ended:\n{site.log_file.read_text()}"
        return health(site.port, HEALTH)[0] == well

    until(is_well, otherwise=site.log_file.read_text)
