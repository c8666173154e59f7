"""The running form under test (one process or many processes), and the web server in use.

The environment selects the form: `python -m tests.services pytest` names a PostgreSQL and a Redis
for many processes. WEB_SERVER=uvicorn replaces Daphne.
"""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLUSTER = bool(os.environ.get("DATABASE_URL"))
UVICORN = os.environ.get("WEB_SERVER") == "uvicorn"
# Names of fixtures that start a server, and of fixtures that open a page in a browser.
SERVED = {"server", "new_server", "shared", "attacked", "backend", "counted"}
BROWSED = {"page", "open_page"}
# Folders of tests about a web process. For these tests, it does not matter where runs are hosted,
# so their servers run as one process, except where a test says why not.
DOORS = {"browser", "deploy", "hostile", "http", "inbox", "page", "security"}
# Folders of tests whose servers host runs and get killed. The web server does not matter here.
HOSTING = {"runtime", "page"}
# Tests about SQL of one database, or about several processes. For all others, the form of many
# processes changes little: they get the mark `other_form` there.
OWN_TO_CLUSTER = (
    "tests/cluster/",
    "tests/runtime/hosting/",
    "tests/runtime/assignment/",
    "tests/runtime/from_django/",
    "tests/runtime/runs/test_answers.py",
    "tests/runtime/sessions/test_hosted.py",
    "tests/wire/layer/",
    "tests/wire/socket/following/",
)
OWN_MARKS = {"cluster_only", "every_form"}
# Tests about hosts of runs, and about several processes: in the form of one process, those that are
# slow get the mark instead. The kills of test_crashes.py are for both forms.
OF_HOSTS = (
    "tests/contrib/operations/test_doctor.py",
    "tests/runtime/from_django/",
    "tests/runtime/hosting/",
)
IN_BOTH = ("tests/runtime/hosting/test_crashes.py",)


def fits(item: pytest.Item) -> bool:
    """Return whether the running form and the web server could change the result of the test.

    One process under Daphne runs all tests, except those that need many processes.
    """
    if UVICORN and "daphne_only" in _marks(item):
        return False
    if CLUSTER:
        return _fits_cluster(item)
    return "cluster_only" not in _marks(item) and (not UVICORN or _fits_uvicorn(item))


def is_own(item: pytest.Item) -> bool:
    """Return whether the test is about something that this form has, and the other form less."""
    if not CLUSTER:
        of_hosts = _is_in(item.path, OF_HOSTS) and not _is_in(item.path, IN_BOTH)
        return not (of_hosts and "slow" in _marks(item) and _fits_cluster(item))
    marks = map(item.get_closest_marker, OWN_MARKS)
    return _is_in(item.path, OWN_TO_CLUSTER) or any(
        mark.kwargs.get("at_each_change", True) for mark in marks if mark
    )


def may_be_own(path: Path, text: str) -> bool:
    """Return whether a file with this text may have tests that are this form's own."""
    return not CLUSTER or _is_in(path, OWN_TO_CLUSTER) or any(mark in text for mark in OWN_MARKS)


def _is_in(path: Path, places: tuple[str, ...]) -> bool:
    return str(path.relative_to(TESTS.parent)).startswith(places)


def _fits_cluster(item: pytest.Item) -> bool:
    """Return whether the test uses the database or a server, as only these differ by form."""
    marks, fixtures = _marks(item), _fixtures(item)
    if "cluster_only" in marks:
        return True
    if marks & {"formless", "local_only"}:
        return False
    if fixtures & SERVED:
        return _folder(item) not in DOORS or "every_form" in marks
    return "transactional_db" in fixtures or "django_db" in marks


def _fits_uvicorn(item: pytest.Item) -> bool:
    """Return whether the test uses sockets or requests, which depend on the web server."""
    fixtures = _fixtures(item)
    return bool(fixtures & SERVED) and not fixtures & BROWSED and "formless" not in _marks(item)


def _marks(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()}


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
