"""The project in a Daphne process, with a copy of a database that is prepared only once."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from threading import Event

from tests.support.host_site.lines import Line
from tests.support.polling import PATIENCE, until
from tests.support.processes.environment import HOST, ROOT
from tests.support.processes.fork_server import Forked
from tests.support.server import free_port

LAG = 1.0  # seconds between two copies of a replica
NAME, MAIL, PASSWORD = "ann", "ann@host.example", "secret"


@dataclass
class Site:
    """A running project."""

    line: Line
    data: Path
    key: str
    port: int = field(default_factory=free_port)

    @property
    def log(self) -> str:
        return (self.data / "log").read_text(errors="replace")

    @property
    def mails(self) -> str:
        files = (self.data / "mails").glob("*.log")
        mails = [message_from_bytes(path.read_bytes(), policy=default) for path in files]
        return "".join(mail.get_content() for mail in mails if mail["To"])

    @property
    def command(self) -> list[str]:
        application, port = "tests.support.host_site.asgi:application", str(self.port)
        options = {
            "daphne": ["-m", "daphne", "-b", HOST, "-p", port],
            "uvicorn": ["-m", "uvicorn", "--host", HOST, "--port", port],
        }[self.line.server]
        return [*options, *self.line.options, application]


def environment(line: Line, data: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "tests.support.host_site.settings",
        "HOST_DATA": str(data),
        "HOST_URL": f"https://site.example{line.prefix}",
        "HOST_SETTINGS": line.settings,
        **line.environment,
    }


def prepare(line: Line, data: Path) -> str:
    """Migrate a database in the directory, with a user; return the user's API key."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.support.host_site.prepare"],
        cwd=ROOT,
        env=environment(line, data),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@contextmanager
def serve(line: Line, template: Path, key: str, data: Path) -> Iterator[Site]:
    """Serve the project with the line's settings until the end of the block.

    Raises:
        Ended: it ended before it answered; the message is what it printed.
    """
    shutil.copytree(template, data, dirs_exist_ok=True)
    site = Site(line, data, key)
    with _replicated(data) if line.has_replica else nullcontext():
        process = _start(site)
        try:
            until(lambda: _answers(site, process), otherwise=lambda: site.log)
            yield site
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait(PATIENCE)


@contextmanager
def _replicated(data: Path) -> Iterator[None]:
    """Copy the database to a replica once a second, so that it lags by up to a second."""
    ended = Event()

    def replicate() -> None:
        while not ended.wait(LAG):
            _copy_to_replica(data)

    _copy_to_replica(data)
    with ThreadPoolExecutor(1) as threads:
        replicating = threads.submit(replicate)
        try:
            yield
        finally:
            ended.set()
    replicating.result()


def _copy_to_replica(data: Path) -> None:
    source, replica = (sqlite3.connect(data / f"{name}.sqlite3") for name in ("db", "replica"))
    with closing(source), closing(replica):
        source.backup(replica)


class Ended(AssertionError):
    """The error that the server ended before it answered."""


def _start(site: Site) -> "Forked | subprocess.Popen[bytes]":
    env, log = environment(site.line, site.data), site.data / "log"
    log.touch()
    if not site.line.python and not site.line.environment:
        return Forked(site.command, env, log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *site.line.python, *site.command],
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
        )


def _answers(site: Site, process: "Forked | subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise Ended(site.log)
    return "Listening on" in site.log or "Uvicorn running" in site.log
