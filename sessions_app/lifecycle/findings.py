"""The findings of checks, as messages of Django's system checks, and the order of the checks.

An `Info` states a fact, a `Warning` asks for attention though all works, an `Error` means that the
deployment is not in order. The hint of a finding is the remedy.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Error, Warning
from django.db import connection

from sessions_app.settings import secret_values

# Tag of our checks in Django's registry. The command `doctor` also runs other applications' checks
# with this tag.
TAG = "hitl"
Findings = Iterator[CheckMessage]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one requirement, skipped while the check named `needs` finds an error.

    The ids of findings contain the check's number: sessions_app.E112 is an error of check 112.
    """

    number: int
    name: str
    run: Callable[[], Findings]
    needs: str = ""


def examine(checks: Iterable[Check]) -> Findings:
    """Run the checks in order; yield their findings, each with the check's name as `obj`.

    Secrets in the findings' texts are replaced by asterisks.
    """
    secrets = _secrets()
    failed_checks: set[str] = set()
    left_out: list[str] = []
    for check in checks:
        if check.needs in failed_checks:
            failed_checks.add(check.name)
            left_out.append(check.name)
            continue
        for finding in _run_check(check):
            if finding.level >= ERROR:
                failed_checks.add(check.name)
            finding.obj = check.name
            finding.id = f"sessions_app.{type(finding).__name__[0]}{check.number}"
            finding.msg = _without(secrets, " ".join(finding.msg.split()).rstrip("."))
            finding.hint = finding.hint and _without(secrets, finding.hint)
            yield finding
    if left_out:
        yield Warning(f"skipped until the rest is fixed: {', '.join(left_out)}", obj="left out")


def _run_check(check: Check) -> Findings:
    try:
        yield from check.run()
    except Exception as error:  # noqa: BLE001 - one check must not hide the findings of others
        yield Error(
            f"the check failed: {type(error).__name__}: {error}",
            "If nothing above explains it, the check itself has a bug.",
        )


def _secrets() -> list[str]:
    """List the secrets that findings must not show, longest first."""
    secrets = {settings.SECRET_KEY, str(connection.settings_dict.get("PASSWORD") or "")}
    for secret in secret_values():
        secrets |= {secret, urlsplit(secret).password or ""}
    return sorted(secrets | {unquote(secret) for secret in secrets}, key=len, reverse=True)


def _without(secrets: list[str], text: str) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def in_words(finding: CheckMessage) -> str:
    """Return the problem and the remedy of a finding as one text."""
    return f"{finding.msg}. {finding.hint or ''}".rstrip()
