"""The short texts of table cells: times, durations, JSON values, and the names of people."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.models import Interaction, Run
from sessions_app.models.people import Person, read_user_id, users

TEXT_SHOWN = 300
# Translated statuses of runs and questions, by stored value.
STATUSES = {**dict(Run.Status.choices), **dict(Interaction.Status.choices)}
MINUTE, HOUR, DAY = 60, 3600, 86400


def short(value: object) -> str:
    """Return a value as JSON for a cell of a table."""
    text = "" if value is None else json.dumps(value, ensure_ascii=False)
    return Truncator(text).chars(TEXT_SHOWN)


def status_word(status: str) -> str:
    """Return the status of a run or a question in words."""
    return str(STATUSES.get(status, status))


def colored(status: str) -> str:
    """Show a status in its colour."""
    return format_html('<span class="state {}">{}</span>', status, status_word(status))


def in_words(words: object, code: str) -> str:
    """Return words for a code, as HTML; the tooltip shows the code."""
    return format_html('<span title="{}">{}</span>', code, words)


def outcome(result: object, error: object, *, finished: bool) -> str:
    """Show the result or the error of a run's call."""
    if not finished:
        return pgettext("hitl", "not finished")
    return (
        pgettext("hitl", "error: %(error)s") % {"error": short(error)} if error else short(result)
    )


def pretty(value: object) -> str:
    """Return a stored value as indented JSON in HTML."""
    return format_html("<pre>{}</pre>", as_json(value))


def as_json(value: object) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def folded(summary: object, text: str) -> str:
    """Return HTML of a summary that unfolds to the whole text."""
    return format_html("<details><summary>{}</summary><pre>{}</pre></details>", summary, text)


def moment(at: datetime | None) -> str:
    """Return a time for people, with the date unless it is today; the tooltip has both."""
    if at is None:
        return ""
    local, today = timezone.localtime(at), timezone.localdate()
    pattern = "j M, H:i" if local.year == today.year else "j M Y, H:i"
    return _time(at, formats.date_format(local, "H:i:s" if local.date() == today else pattern))


def due(at: datetime | None) -> str:
    """Return the time left until a deadline; the tooltip has its date and time."""
    if at is None:
        return ""
    seconds = (at - timezone.now()).total_seconds()
    if seconds <= 0:
        return _time(at, pgettext("hitl", "now"))
    span = timeuntil(at, depth=1) if seconds >= MINUTE else f"{seconds:.0f} s"
    return _time(at, pgettext("hitl", "in %(time)s") % {"time": span})


def ago(at: datetime) -> str:
    """Return how long ago a time was, in one or two units."""
    seconds = (timezone.now() - at).total_seconds()
    span = timesince(at) if seconds >= MINUTE else f"{max(seconds, 0):.0f} s"
    return pgettext("hitl", "%(time)s ago") % {"time": span}


def show_duration(duration: timedelta) -> str:
    """Return a duration in its one or two largest units."""
    seconds = max(duration.total_seconds(), 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def brief_age(at: datetime) -> str:
    """Return how long ago a time was, in the largest unit."""
    return " ".join(show_duration(timezone.now() - at).split()[:2])


@admin.display(description=pgettext_lazy("hitl", "took"))
def took(row: Any) -> str:
    """Return how long a run or call took, or has taken so far, waits for people included."""
    if row.started_at is None:
        return ""
    if row.finished_at is None:
        span = show_duration(timezone.now() - row.started_at)
        return pgettext("hitl", "running for %(time)s") % {"time": span}
    return show_duration(row.finished_at - row.started_at)


def display_name(user: Any) -> str:
    """Return a user's full name, with the user name in brackets."""
    person = Person.of(user)
    return f"{person.name} ({person.username})" if person.name else person.username


def display_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the names of users, by primary key as text; deleted users are left out."""
    ids = []
    for key in set(keys):
        with suppress(ValidationError):
            ids.append(read_user_id(key))
    return {str(user.pk): display_name(user) for user in users().filter(pk__in=ids)}


def _time(at: datetime, text: str) -> str:
    whole = f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), whole, text)
