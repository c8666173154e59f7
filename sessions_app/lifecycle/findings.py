"""The findings of checks, as messages of Django's system checks, and the order of the checks.

An `Info` is a fact, a `Warning` works and somebody should look at it, an `Error` makes a deployment
unwell. The hint says what a person can do about it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Error, Warning
from django.db import connection

from sessions_app.settings import secret_values

# With it Django's registry has our checks, and those of applications that `doctor` makes, too.
TAG = "hitl"
Findings = Iterator[CheckMessage]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one thing, skipped while the check named `needs` finds an error.

    What it finds has its number in the id: sessions_app.E112 is an error of number 112.
    """

    number: int
    name: str
    look: Callable[[], Findings]
    needs: str = ""


def examine(checks: Iterable[Check]) -> Findings:
    """Make the checks in order; of each finding `obj` is the check's name. No secret is shown."""
    secrets = _secrets()
    failed_checks: set[str] = set()
    left_out: list[str] = []
    for check in checks:
        if check.needs in failed_checks:
            failed_checks.add(check.name)
            left_out.append(check.name)
            continue
        for finding in _look(check):
            if finding.level >= ERROR:
                failed_checks.add(check.name)
            finding.obj = check.name
            finding.id = f"sessions_app.{type(finding).__name__[0]}{check.number}"
            finding.msg = _without(secrets, " ".join(finding.msg.split()).rstrip("."))
            finding.hint = finding.hint and _without(secrets, finding.hint)
            yield finding
    if left_out:
        yield Warning(f"skipped until the rest is fixed: {', '.join(left_out)}", obj="left out")


def _look(check: Check) -> Findings:
    try:
        yield from check.look()
    except Exception as error:  # noqa: BLE001 - one check must not hide what the others find
        yield Error(
            f"the check failed: {type(error).__name__}: {error}",
            "If nothing above explains it, the check itself has a bug.",
        )


def _secrets() -> list[str]:
    """List what must not be shown, the longest first."""
    secrets = {settings.SECRET_KEY, str(connection.settings_dict.get("PASSWORD") or "")}
    for secret in secret_values():
        secrets |= {secret, urlsplit(secret).password or ""}
    return sorted(secrets | {unquote(secret) for secret in secrets}, key=len, reverse=True)


def _without(secrets: list[str], text: str) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def in_words(finding: CheckMessage) -> str:
    """Say what is wrong and what to do."""
    return f"{finding.msg}. {finding.hint or ''}".rstrip()
