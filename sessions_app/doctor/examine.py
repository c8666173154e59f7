"""Makes the checks in order, and keeps secrets out of what they say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from sessions_app.doctor import configuration, database, processes, work
from sessions_app.doctor.findings import Check, Finding, Level, warning, wrong
from sessions_app.settings import RuntimeSettings, secret_values

CHECKS: tuple[Check, ...] = (
    *configuration.CHECKS,
    *database.CHECKS,
    *(import_string(f"{__package__}.redis.CHECKS") if RuntimeSettings.load().cluster else ()),
    *processes.CHECKS,
    *work.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A finding and the check that made it."""

    check: str
    finding: Finding


def examine(checks: Iterable[Check] = CHECKS) -> Iterator[Line]:
    """Make the checks. One that needs another which found something wrong is left out."""
    secrets = _secrets()
    failed: set[str] = set()
    left_out: list[str] = []
    for check in checks:
        if check.needs in failed:
            failed.add(check.name)
            left_out.append(check.name)
            continue
        for finding in _look(check):
            if finding.level == Level.WRONG:
                failed.add(check.name)
            yield Line(check.name, _without(secrets, finding))
    if left_out:
        yield Line("left out", warning(f"until the rest is mended: {', '.join(left_out)}"))


def _look(check: Check) -> Iterator[Finding]:
    try:
        yield from check.look()
    except Exception as error:  # noqa: BLE001 - one check must not hide what the others find
        yield wrong(
            f"it could not be looked at: {type(error).__name__}: {error}",
            "If nothing above explains it, it is a mistake of this check.",
        )


def _secrets() -> list[str]:
    """What must not be shown, the longest first."""
    found = {settings.SECRET_KEY, str(connection.settings_dict.get("PASSWORD") or "")}
    for secret in secret_values():
        found |= {secret, urlsplit(secret).password or ""}
    return sorted(found | {unquote(secret) for secret in found}, key=len, reverse=True)


def _without(secrets: list[str], finding: Finding) -> Finding:
    text = " ".join(finding.text.split()).rstrip(".")
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return replace(finding, text=text)
