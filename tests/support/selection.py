"""The choice of tests that do not run at each commit: all of what it changed, and a share.

These are the tests that take long (the mark, or a browser), and those that run in a second form.

The last commit says both: what it changed, together with what is not committed yet, and by its
name, which share. So a commit has one verdict, and one commit after the other runs all of them.
`LONG=1` has all, and so has who names a file; `TEST_SEED` and `TEST_CHANGED` (files, with spaces
between them) say it by hand.
"""

import os
import subprocess
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).parents[2]
# Of those that nothing was changed about, one in so many is run.
SHARE = 8
HOSTING = ("tests/cluster", "tests/chaos", "tests/runtime")
# Folders of the product, and the tests that say most of a change in them.
SUBJECTS = {
    "sessions_app/storage": HOSTING,
    "sessions_app/hosting": HOSTING,
    "sessions_app/dispatch": HOSTING,
    "sessions_app/interactions": HOSTING,
    "sessions_app/lifecycle": ("tests/runtime", "tests/deploy"),
    "sessions_app/notify": ("tests/wire/layer", "tests/cluster/matrix"),
    "sessions_app/doctor": ("tests/deploy",),
    "natproject": ("tests/deploy",),
    "chat_app": ("tests/page", "tests/browser", "tests/inbox", "tests/wire"),
    "chat_app/api": ("tests/http", "tests/hostile"),
    "chat_app/identity": ("tests/security",),
    "templates": ("tests/page", "tests/browser", "tests/inbox"),
    "static": ("tests/page", "tests/browser", "tests/inbox"),
}


def _git(*arguments: str) -> str:
    """Return what git prints; nothing where there is no git, or no such commit."""
    try:
        command = ["git", *arguments]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""


# Said once, to the processes of xdist as well: they must all choose the same.
SEED = os.environ.setdefault("TEST_SEED", _git("rev-parse", "--short=12", "HEAD") or "none")
CHANGED = os.environ.setdefault(
    "TEST_CHANGED", " ".join(_git("diff", "--name-only", "HEAD^").split())
).split()
# Beginnings of the paths of tests that are run whole.
WHOLE = {file for file in CHANGED if file.startswith("tests/") and "/test_" in file}
for folder, tests in SUBJECTS.items():
    if any(file.startswith(f"{folder}/") for file in CHANGED):
        WHOLE.update(tests)


def choose_all(paths: list[str]) -> None:
    """Have all tests, where files of them are named; in the processes of xdist as well."""
    if any(".py" in name for name in paths):
        os.environ["LONG"] = "1"


def _has_all() -> bool:
    return bool(os.environ.get("LONG"))


def is_long_chosen(test: str) -> bool:
    """Return whether a test that takes long is run; it is named as pytest names it."""
    return is_chosen(test) or test.startswith(tuple(WHOLE))


def is_chosen(test: str) -> bool:
    """Return whether the test is one of the commit's share."""
    return _has_all() or crc32(f"{SEED} {test}".encode()) % SHARE == 0


def summary() -> str:
    """Say what was chosen, for the end of a run; nothing where all was."""
    if _has_all():
        return ""
    whole = f", and all of {', '.join(sorted(WHOLE))}" if WHOLE else ""
    return f"With one in {SHARE} of the tests that take long (TEST_SEED={SEED}){whole}.\n"
