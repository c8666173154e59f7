"""Settings of a server that is hurt: the project's own, and what may interfere with it."""

from chat_app.settings import ChatSettings
from tests.support.settings import *  # noqa: F403

# All people have one address, and many share a user.
HITL |= {name: "none" for name in ChatSettings.model_fields if name.startswith("RATE_")}  # noqa: F405

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.nemeses.interference.Interference"]  # noqa: F405
