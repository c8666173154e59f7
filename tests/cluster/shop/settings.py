"""Settings of the shop: those of the other servers of tests, with an application of its own."""

from tests.support.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.cluster.shop"]  # noqa: F405
