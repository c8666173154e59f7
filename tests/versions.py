"""The requirements of the tests with other versions of what the wheel needs: `make test-versions`.

`python -m tests.versions lowest` prints them with the lower bounds of pyproject.toml,
`python -m tests.versions newest` with the newest Django that these and the Python allow.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# They have lower bounds of their own, and no test that is run with the lowest needs them.
FRAMEWORKS = "-r requirements-agents.txt"
NAME = re.compile(r"[\w.-]+")
BOUNDS = re.compile(r">=([\d.]+)(,<[\d.]+)?")


def main(choice: str) -> None:
    """Print the requirements, one a line."""
    replaced = {"lowest": lowest, "newest": newest}[choice]()
    left_out = FRAMEWORKS if choice == "lowest" else None
    for requirement in requirements(ROOT / "requirements-dev.txt", left_out):
        print(replaced.get(name_of(requirement), requirement))  # noqa: T201 - its output


def lowest() -> dict[str, str]:
    """Return the lower bound of each package that the wheel needs, as a requirement, by name."""
    return {name_of(one): BOUNDS.sub(r"==\1", one) for one in needed_packages()}


def newest() -> dict[str, str]:
    """Return what the wheel says of Django, of which pip takes the newest."""
    return {"django": next(one for one in needed_packages() if name_of(one) == "django")}


def needed_packages() -> list[str]:
    """Return what the wheel and its extras for processes need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["cluster"], *extras["daphne"]]


def requirements(file: Path, left_out: str | None) -> Iterator[str]:
    """Yield the requirements of a file and of those that it names, but for one line of these."""
    for line in file.read_text().splitlines():
        if line == left_out:
            continue
        if line.startswith("-r "):
            yield from requirements(file.parent / line.removeprefix("-r "), left_out)
        elif NAME.match(line):
            yield line


def name_of(requirement: str) -> str:
    """Return the normalised name of the package that is required."""
    match = NAME.match(requirement)
    assert match, requirement
    return match[0].lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
