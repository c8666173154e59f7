"""The settings of a server whose workflows act for people elsewhere."""

from tests.support.settings import *  # noqa: F403 - the project's, and what is changed here
from tests.support.settings import HITL, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.contrib.oauth.site"]
HITL = {**HITL, "WORKFLOWS_FILE": None, "EXTRA_WORKFLOWS": {}}
