"""The requirements of the tests with other versions of what the wheel needs: `make test-versions`.

`python -m tests.versions lowest` prints them with the lower bounds of pyproject.toml,
`python -m tests.versions newest` with the newest Django that these and the Python allow. All else
that tests name has the version of the lock. It needs nothing but Python.
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
# They have lower bounds of their own, and no test that is run with the lowest needs them.
FRAMEWORKS = {"langgraph", "mcp", "pydantic-ai"}
NAME = re.compile(r"[\w.-]+")
NAME_AND_EXTRAS = re.compile(r"[\w.-]+(\[[\w,-]+\])?")
BOUNDS = re.compile(r">=([\d.]+)(,<[\d.]+)?")
# A package of a locked file, its version, and who needs it.
LOCKED = re.compile(r"^([\w.-]+)==(\S+).*\n(?: +--hash.*\n)+ +# via (.*)$", re.MULTILINE)


def main(choice: str) -> None:
    """Print the requirements, one a line."""
    replaced = {"lowest": lowest, "newest": newest}[choice]()
    versions = dict(locked_versions(LOCK.read_text()))
    for requirement in tests_need(frameworks=choice == "newest"):
        name = name_of(requirement)
        named = NAME_AND_EXTRAS.match(requirement)
        assert named, requirement
        print(replaced.get(name, f"{named[0]}=={versions[name]}"))  # noqa: T201 - its output


def lowest() -> dict[str, str]:
    """Return the lower bound of each package that the wheel needs, as a requirement, by name."""
    return {name_of(one): BOUNDS.sub(r"==\1", one) for one in needed_packages()}


def newest() -> dict[str, str]:
    """Return what the wheel says of Django, of which pip takes the newest."""
    return {"django": next(one for one in needed_packages() if name_of(one) == "django")}


def needed_packages() -> list[str]:
    """Return what the wheel and its extras for processes need."""
    return [*NEEDED, *EXTRAS["cluster"], *EXTRAS["daphne"]]


def tests_need(*, frameworks: bool) -> Iterator[str]:
    """Yield what the package, the example project and the tests name, with agents or without."""
    yield from NEEDED
    for extra, packages in EXTRAS.items():
        if extra != "nat" and (frameworks or extra not in FRAMEWORKS):
            yield from packages
    yield from group_members("dev", left_out="" if frameworks else "agents")


def group_members(group: str, *, left_out: str = "") -> Iterator[str]:
    """Yield the requirements of a dependency group and of those that it includes, but for one."""
    for member in PYPROJECT["dependency-groups"][group]:
        if isinstance(member, str):
            yield member
        elif member["include-group"] != left_out:
            yield from group_members(member["include-group"], left_out=left_out)


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
