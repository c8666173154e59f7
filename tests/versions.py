"""The packages in whose place the tests have other versions than the lock: see the Makefile.

`python -m tests.versions lowest` prints the lower bounds of pyproject.toml of the packages that the
wheel needs, `python -m tests.versions newest` its bounds of Django. It needs nothing but Python.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.txt"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDED: list[str] = PYPROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
NAME = re.compile(r"[\w.-]+")
BOUNDS = re.compile(r">=([\d.]+)(,<[\d.]+)?")
# A package of a locked file, its version, and who needs it.
LOCKED = re.compile(r"^([\w.-]+)==(\S+).*\n(?: +--hash.*\n)+ +# via (.*)$", re.MULTILINE)


def main(choice: str) -> None:
    """Print the requirements, one a line."""
    print("\n".join({"lowest": lowest, "newest": newest}[choice]()))  # noqa: T201 - its output


def lowest() -> list[str]:
    """Return the lower bound of each package that the wheel and its extras for processes need.

    The frameworks of agents have lower bounds of their own, and stay as they are locked.
    """
    return [BOUNDS.sub(r"==\1", one) for one in [*NEEDED, *EXTRAS["cluster"], *EXTRAS["daphne"]]]


def newest() -> list[str]:
    """Return the requirement of Django, of which an installer takes the newest."""
    return [one for one in NEEDED if name_of(one) == "django"]


def group_members(group: str) -> Iterator[str]:
    """Yield the requirements of a dependency group and of those that it includes."""
    for member in PYPROJECT["dependency-groups"][group]:
        if isinstance(member, str):
            yield member
        else:
            yield from group_members(member["include-group"])


def locked_versions(text: str) -> set[tuple[str, str]]:
    """Return the names and versions of a locked file; another platform may have another version."""
    return {(name, version) for name, version, _ in LOCKED.findall(text)}


def name_of(requirement: str) -> str:
    """Return the normalised name of the package that is required."""
    match = NAME.match(requirement)
    assert match, requirement
    return re.sub(r"[._-]+", "-", match[0]).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
