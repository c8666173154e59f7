"""Check that the requirements, as `make lock` has written them, fit pyproject.toml.

It is a part of `make checks`, and asks no index: the head of each file says of what it was made.
"""

import re
import sys
from collections.abc import Iterator

from packaging.requirements import Requirement

from tests.versions import (
    EXTRAS,
    LOCK,
    LOCKED,
    NEEDED,
    ROOT,
    group_members,
    locked_versions,
    name_of,
)

PARTS_OF_LOCK = ("requirements.txt", "natproject/cluster/requirements.txt")
FILES = (LOCK.name, *PARTS_OF_LOCK, "tests/nat/requirements.txt")


def main() -> None:
    """End with what does not fit, if anything does not."""
    texts = {file: (ROOT / file).read_text() for file in FILES}
    faults = [f"{file}: {fault}" for file, text in texts.items() for fault in misfits(text)]
    locked = locked_versions(texts[LOCK.name])
    for file in PARTS_OF_LOCK:
        others = sorted(locked_versions(texts[file]) - locked)
        faults += [f"{file}: {LOCK.name} has no {name} {version}" for name, version in others]
    if faults:
        sys.exit("\n".join([*faults, "Run: make lock"]))


def misfits(text: str) -> Iterator[str]:
    """Yield how a file differs from what its head says it was made of."""
    wanted = {name_of(one): one for one in sources(text.splitlines()[1])}
    versions = dict(locked_versions(text))
    for name, one in wanted.items():
        if name not in versions or versions[name] not in Requirement(one).specifier:
            yield f"pyproject.toml wants {one}, and {versions.get(name, 'nothing')} is there"
    direct = {name for name, _, reason in LOCKED.findall(text) if "pyproject.toml" in reason}
    for name in sorted(direct - wanted.keys()):
        yield f"{name} is there, and pyproject.toml does not want it"


def sources(command: str) -> Iterator[str]:
    """Yield what pyproject.toml wants of the file that this command has written."""
    if " pyproject.toml " in command:
        yield from NEEDED
    for extra in re.findall(r"--extra (\S+)", command):
        yield from EXTRAS[extra]
    for group in re.findall(r"--group (\S+)", command):
        yield from group_members(group)


if __name__ == "__main__":
    main()
