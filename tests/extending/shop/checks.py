"""Checks of the printer, which `doctor` makes, too."""

from collections.abc import Sequence

from django.core.checks import CheckMessage, Info, Warning, register

from sessions_app.models import PendingSignal
from tests.extending.shop.settings import ShopSettings


def connect() -> None:
    register(check_printer, "hitl")


def check_printer(*, databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Look for the printer, and count what it has to print where the database may be asked."""
    path = ShopSettings.load().PRINTER
    if path is None or not path.exists():
        return [Warning("there is no printer", hint="Set PRINTER in HITL.", id="shop.W001")]
    if not databases:
        return []
    slips = PendingSignal.objects.filter(about__has_key="slip", due_at__isnull=False)
    return [Info(f"{slips.count()} slips wait", id="shop.I001")]
