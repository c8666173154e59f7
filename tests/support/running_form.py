"""The running form that this process tests (one process or many), and which web server serves.

The environment says it: `python -m tests.services pytest` names a PostgreSQL and a Redis, and then
it is the form of many processes; WEB_SERVER=uvicorn has another web server than Daphne.
"""

import os
from pathlib import Path

import pytest

from tests.support import selection

TESTS = Path(__file__).parents[1]
CLUSTER = bool(os.environ.get("DATABASE_URL"))
UVICORN = os.environ.get("WEB_SERVER") == "uvicorn"
# Fixtures that start a server, and those that look at it with a browser.
SERVED = {"server", "new_server", "shared", "attacked", "backend"}
BROWSED = {"page", "open_page"}
# The few tests in the other browser run at each commit.
IN_FIREFOX = {"firefox_browser"}
# Folders of tests that ask a web process, for which it is one who hosts the runs: their servers run
# in the local form, but for those that say why not.
DOORS = {"browser", "deploy", "hostile", "http", "inbox", "page", "security"}
# Folders of tests whose servers are there to host runs and to be killed, whoever serves them.
HOSTING = {"runtime", "page"}
# What is about the database's own SQL, or about several processes, runs in the cluster's form at
# each commit; of the others, which it changes little for, a share: see `selection`.
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
OWN_TO_UVICORN = ("tests/wire/socket/", "tests/http/executions/")


def belongs(item: pytest.Item) -> bool:
    """Return whether this run of pytest has the test."""
    marks, fixtures = _marks(item), _fixtures(item)
    takes_long = "long" in marks or (fixtures & BROWSED and not fixtures & IN_FIREFOX)
    if takes_long and not selection.is_long_chosen(item.nodeid):
        return False
    if not (CLUSTER or UVICORN):
        return "cluster_only" not in marks
    if "cluster_only" in marks:
        return CLUSTER
    fits = _fits_cluster(item) if CLUSTER else _fits_uvicorn(item)
    always = item.nodeid.startswith(OWN_TO_CLUSTER if CLUSTER else OWN_TO_UVICORN)
    always |= CLUSTER and "every_form" in marks
    return fits and (always or selection.is_chosen(item.nodeid))


def _fits_cluster(item: pytest.Item) -> bool:
    """Return whether the form of many processes could change what the test finds.

    What needs neither the database nor a server is the same in both forms.
    """
    marks, fixtures = _marks(item), _fixtures(item)
    if marks & {"formless", "local_only"}:
        return False
    if fixtures & SERVED:
        return _folder(item) not in DOORS or "every_form" in marks
    return "transactional_db" in fixtures or "django_db" in marks


def _fits_uvicorn(item: pytest.Item) -> bool:
    """Return whether another web server could change the result: it changes sockets and requests
    only.
    """
    marks, fixtures = _marks(item), _fixtures(item)
    if fixtures & BROWSED or marks & {"formless", "daphne_only"}:
        return False
    return bool(fixtures & SERVED)


def _marks(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()}


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
