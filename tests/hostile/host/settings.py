"""Settings of the server under attack: every door is open, and what would slow it down is off."""

from pathlib import Path

from tests.support.settings import *  # noqa: F403 - the project's, and what is changed here
from tests.support.settings import HITL, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.hostile.host"]
HITL = {
    **HITL,
    "EXTRA_WORKFLOWS": {},
    "WORKFLOWS_FILE": Path(__file__).with_name("workflows.yaml"),
}
# Hashing is slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
