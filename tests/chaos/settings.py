"""Settings of a server that is hurt: the project's own, and what may interfere with it."""

from natproject.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.interference.Interference"]  # noqa: F405
