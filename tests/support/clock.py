"""A wall clock that was set back."""

from datetime import timedelta

import time_machine
from django.utils import timezone


def an_hour_back() -> time_machine.travel:
    """Set the wall clock back by an hour inside the `with` block."""
    return time_machine.travel(timezone.now() - timedelta(hours=1), tick=True)
