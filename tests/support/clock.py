"""A wall clock that was set back."""

from datetime import timedelta

import time_machine
from django.utils import timezone


def an_hour_back() -> time_machine.travel:
    """In the `with` block it is an hour earlier."""
    return time_machine.travel(timezone.now() - timedelta(hours=1), tick=True)
