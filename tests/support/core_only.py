"""The choice of a run with none of the optional applications: `make suite-core`."""

import os
from collections.abc import Sequence

CORE_ONLY = bool(os.environ.get("CORE_ONLY"))
# Prefixes of the optional applications, and of the applications that only their tests install.
OPTIONAL = ("sessions_app.contrib.", "chat_app.contrib.", "tests.contrib.")


def choose(applications: Sequence[str]) -> list[str]:
    """Return those of INSTALLED_APPS that this run has."""
    return [one for one in applications if not (CORE_ONLY and one.startswith(OPTIONAL))]
