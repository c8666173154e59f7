"""The selection of applications for a run without the optional ones: `make local-lowest`."""

import os
from collections.abc import Sequence

CORE_ONLY = bool(os.environ.get("CORE_ONLY"))
# Prefixes of the optional applications, and of the applications that only their tests install.
OPTIONAL = ("sessions_app.contrib.", "chat_app.contrib.", "tests.contrib.")


def choose(applications: Sequence[str]) -> list[str]:
    """Return the applications to install: without the optional ones if CORE_ONLY is set."""
    return [one for one in applications if not (CORE_ONLY and one.startswith(OPTIONAL))]
