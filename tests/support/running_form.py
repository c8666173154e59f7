"""Which of the two running forms this process tests, and which of two web servers serves.

The environment says it: `python -m tests.services pytest` names a PostgreSQL and a Redis, and then
it is the form of many processes; WEB_SERVER=uvicorn has another web server than Daphne.
"""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLUSTER = bool(os.environ.get("DATABASE_URL"))
# Whether those that take long are run too.
LONG = bool(os.environ.get("LONG"))
UVICORN = os.environ.get("WEB_SERVER") == "uvicorn"
# Fixtures that start a server, and those that look at it with a browser.
SERVED = {"server", "new_server", "shared", "attacked", "backend"}
BROWSED = {"page", "open_page"}
# Folders of tests that ask a web process, for which it is one who hosts the runs: their servers run
# in the local form, but for those that say why not.
DOORS = {"browser", "deploy", "hostile", "http", "inbox", "page", "security"}
# Folders of tests whose servers are there to host runs and to be killed, whoever serves them.
HOSTING = {"runtime", "page"}


def belongs(item: pytest.Item) -> bool:
    """Whether the test is one of this run.

    What needs neither the database nor a server is the same in both forms, and runs in the local.
    Another web server changes nothing but sockets and requests.
    """
    fixtures = set(getattr(item, "fixturenames", ()))
    marks = {mark.name for mark in item.iter_markers()}
    if "long" in marks and not LONG:
        return False
    if UVICORN and not (fixtures & SERVED and _folder(item) not in HOSTING):
        return False
    if UVICORN and (fixtures & BROWSED or marks & {"formless", "daphne_only"}):
        return False
    if not CLUSTER:
        return "cluster_only" not in marks
    if "cluster_only" in marks:
        return True
    if marks & {"formless", "local_only"}:
        return False
    if fixtures & SERVED:
        return _folder(item) not in DOORS or "every_form" in marks
    return "transactional_db" in fixtures or "django_db" in marks


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
