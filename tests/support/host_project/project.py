"""The project made in a directory, with nothing of this repository on its path but the wheel."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.database.server_store import Store, empty_store
from tests.support.host_project import files
from tests.support.processes.environment import ROOT
from tests.support.running_form import CLUSTER

PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
# pip installs no dependencies, because they are installed for the tests anyway.
OFFLINE = ("--no-deps", "--no-index")


def build_wheel(directory: Path) -> Path:
    wheel = (*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir")
    _run(ROOT, {}, *wheel, str(directory), str(ROOT))
    [built] = directory.glob("*.whl")
    return built


@dataclass
class Project:
    """A Django project. `packages` has the wheel, if it is not in the environment of `python`."""

    directory: Path
    packages: Path
    store: Store
    python: str = sys.executable

    @classmethod
    def make(cls, directory: Path, wheel: Path) -> "Project":
        """Install the wheel beside the packages of the tests, and begin a project."""
        packages = directory / "packages"
        _run(directory, {}, *PIP, "install", *OFFLINE, "--target", str(packages), str(wheel))
        return cls.begin(directory, sys.executable)

    @classmethod
    def begin(cls, directory: Path, python: str) -> "Project":
        """Create a project, follow the documented steps, migrate, and create the user `ann`."""
        (home := directory / "host").mkdir()
        project = cls(home, directory / "packages", empty_store(home), python)
        project.run("-m", "django", "startproject", "host", ".")
        project.install()
        project.run("-c", files.SET_UP)
        return project

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.packages),
            "PYTHONUNBUFFERED": "1",
            **self.store.environment,
        }

    def install(self) -> None:
        """Take the steps of docs/install.md."""
        form = files.CLUSTER if CLUSTER else files.TEST_DATABASE
        self._append("settings.py", files.APPLICATIONS + files.OWN + form + files.CHOSEN)
        self._append("urls.py", files.URLS + files.OWN_URLS)
        self._append("asgi.py", files.ASGI)
        for name, text in files.FILES.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str, **env: str) -> str:
        """Run Python in the project, and return its output; fail if its exit status is not 0."""
        return _run(self.directory, self.environment | env, *arguments, python=self.python)

    def start(self, log: Path, *arguments: str, **env: str) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                [self.python, *arguments],
                cwd=self.directory,
                env=self.environment | env,
                stdout=output,
                stderr=output,
            )

    def _append(self, name: str, text: str) -> None:
        path = self.directory / "host" / name
        path.write_text(path.read_text() + text)


def _run(
    directory: Path, env: dict[str, str], *arguments: str, python: str = sys.executable
) -> str:
    process = subprocess.run(
        [python, *arguments],
        cwd=directory,
        env=env or None,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
