"""Settings of servers in tests and benchmarks: the project's own, with other workflows."""

from natproject.settings import *  # noqa: F403 - the project's, and what is changed here
from natproject.settings import HITL, INSTALLED_APPS
from tests.support.core_only import choose

INSTALLED_APPS = choose([*INSTALLED_APPS, "tests.support", "tests.contrib.agents"])
# Hashing is slow on purpose; tests need none of it, and hostile sign-ins are many.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
HITL = {**HITL, "EXTRA_WORKFLOWS": {"probe": {}, **HITL["EXTRA_WORKFLOWS"]}}
