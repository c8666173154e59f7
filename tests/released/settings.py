"""Settings of the servers that record a version and go on with the runs of earlier ones."""

from tests.support.settings import *  # noqa: F403 - the servers' of all tests, and one application
from tests.support.settings import HITL, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.released"]
HITL = {**HITL, "EXTRA_WORKFLOWS": {"released": {}, "released_child": {}}}
