"""Settings of the servers that these tests start: the project has what is to be killed too."""

from tests.support.settings import *  # noqa: F403

INSTALLED_APPS += ["tests.nat"]  # noqa: F405 - its workflows.py has the functions
