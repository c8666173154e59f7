"""The choice of tests that do not run at each commit: those about what it changed, and a share.

These are the tests that take long (the mark, or a browser), and those that run in a second form.

The last commit says both: what it changed, together with what is not committed yet, and by its
name, which share. So a commit has one verdict, and one commit after the other runs all of them.
`LONG=1` has all, and so has who names a file; `TEST_SEED` and `TEST_CHANGED` (files, with spaces
between them) say it by hand.
"""

import os
import subprocess
from itertools import chain
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).parents[2]
# Of those that nothing was changed about, one in so many is run.
SHARE = 8
# Of fewer files of tests than these, all that was changed is run; of more a share.
MANY_FILES = 4
# Where a mistake loses or doubles work: of these folders all tests of crashes are run.
CRASHES = (
    "tests/cluster/matrix/",
    "tests/cluster/test_under_load.py",
    "tests/runtime/hosting/",
)
CRITICAL = tuple(
    f"sessions_app/{name}/" for name in ("dispatch", "hosting", "interactions", "storage")
)
# Other folders of the product, and which of these tests say most of a change in them: some twenty
# at most. Of a commit that changes several folders each has its part of that.
LISTS_AND_SETTINGS = ("tests/browser/list_and_settings/",)
SUBJECTS = {
    "chat_app/api": ("tests/http/",),
    "chat_app/feed": ("tests/browser/test_connection.py",),
    "chat_app/identity": ("tests/wire/identity/",),
    "chat_app/oauth": ("tests/oauth/", "tests/page/test_consent.py"),
    "chat_app/page/conversation": (
        "tests/browser/test_branches.py",
        "tests/page/transcript/test_g",
    ),
    "chat_app/page/inbox": ("tests/inbox/test_three_people.py",),
    "chat_app/page/markdown": ("tests/page/transcript/test_work.py",),
    "chat_app/page/settings": LISTS_AND_SETTINGS,
    "chat_app/page/sidebar": LISTS_AND_SETTINGS,
    "chat_app/socket": ("tests/browser/test_connection.py", "tests/wire/peer_ui/"),
    "natproject/cluster": ("tests/deploy/test_make_cluster.py",),
    "natproject/settings": ("tests/deploy/test_cluster_settings.py", "tests/deploy/test_https.py"),
    "sessions_app/doctor": ("tests/deploy/test_damage.py", "tests/deploy/test_doctor.py"),
    "sessions_app/lifecycle": ("tests/cluster/test_under_load.py", "tests/deploy/test_serving.py"),
    "sessions_app/notify": ("tests/cluster/matrix/test_services.py", "tests/wire/layer/"),
    "static/chat_app/attention": ("tests/inbox/test_attention.py",),
    "static/chat_app/css": ("tests/browser/test_looks.py", "tests/page/test_widths.py"),
    "static/chat_app/inbox": ("tests/inbox/test_looks.py", "tests/inbox/test_panes.py"),
    "static/chat_app/js": (
        "tests/browser/test_docking.py",
        "tests/browser/writing/test_answering.py",
    ),
    "static/chat_app/js/elements": ("tests/browser/writing/test_attaching.py",),
    "static/chat_app/js/transcript": ("tests/browser/reading/",),
    "templates/admin": ("tests/browser/test_admin.py",),
    "templates/chat_app/cards": (
        "tests/browser/writing/test_answering.py",
        "tests/page/test_forms.py",
    ),
    "templates/chat_app/inbox": ("tests/inbox/test_looks.py",),
    "templates/chat_app/items": (
        "tests/browser/reading/test_rows.py",
        "tests/browser/test_feedback.py",
    ),
    "templates/chat_app/parts": LISTS_AND_SETTINGS,
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
CHANGED_TESTS = tuple(name for name in CHANGED if name.startswith("tests/") and "/test_" in name)
IS_CRITICAL = any(name.startswith(CRITICAL) for name in CHANGED)
# The beginnings of the paths of tests, by each folder that was changed.
CHANGED_SUBJECTS = [
    tests
    for folder, tests in SUBJECTS.items()
    if any(name.startswith(f"{folder}/") for name in CHANGED)
]


def choose_all(paths: list[str]) -> None:
    """Have all tests, where files of them are named; in the processes of xdist as well."""
    if any(".py" in name for name in paths):
        os.environ["LONG"] = "1"


def _has_all() -> bool:
    return bool(os.environ.get("LONG"))


def is_long_chosen(test: str) -> bool:
    """Return whether a test that takes long is run; it is named as pytest names it."""
    if _has_all():
        return True
    if IS_CRITICAL and test.startswith(CRASHES):
        return True
    if test.startswith(CHANGED_TESTS):
        return _is_of_share(test, 1 + len(CHANGED_TESTS) // MANY_FILES)
    if test.startswith(tuple(chain.from_iterable(CHANGED_SUBJECTS))):
        return _is_of_share(test, len(CHANGED_SUBJECTS))
    return is_chosen(test)


def is_chosen(test: str) -> bool:
    """Return whether the test is one of the commit's share."""
    return _has_all() or _is_of_share(test, SHARE)


def _is_of_share(test: str, share: int) -> bool:
    return crc32(f"{SEED} {test}".encode()) % share == 0


def summary() -> str:
    """Say what was chosen, for the end of a run; nothing where all was."""
    if _has_all():
        return ""
    crashes = CRASHES if IS_CRITICAL else ()
    changed = sorted({*CHANGED_TESTS, *crashes, *chain.from_iterable(CHANGED_SUBJECTS)})
    more = f", and more of {', '.join(changed)}" if changed else ""
    return f"With one in {SHARE} of the tests that take long (TEST_SEED={SEED}){more}.\n"
