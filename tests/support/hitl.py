"""Changes of the applications' `HITL` settings for a test."""

from typing import Any

from pytest_django import Settings


def set_hitl(settings: Settings, **names: Any) -> None:
    """Set some names of `HITL` until the end of the test."""
    settings.HITL = {**settings.HITL, **names}
