"""A channel: a slip of paper for each person who may answer a question."""

from collections.abc import Mapping

from django.utils import timezone

from sessions_app.interactions.answerers import PromptAudience, answerers
from sessions_app.models import Interaction, PendingSignal
from sessions_app.models.people import read_user_id, users
from sessions_app.signals import interaction_opened, notice_due
from sessions_app.signals.notice_kinds import NoticeKind, add_kind
from sessions_app.signals.pending_signals import Notice, put_off
from sessions_app.storage.writer import writer
from tests.extending.shop.settings import ShopSettings


def connect() -> None:
    interaction_opened.connect(put_off_slips, dispatch_uid="shop.put_off")
    notice_due.connect(print_slip, dispatch_uid="shop.print")
    add_kind(NoticeKind("slip", "slip", "slips", "slip for {}".format, is_personal=True))


def put_off_slips(interaction: Interaction, **_: object) -> None:
    """Store a notice for each: each is sent, and tried again, by itself."""
    people = answerers(PromptAudience.of(interaction))
    common = (PendingSignal.NOTICE, interaction.run_id, interaction.pk, timezone.now())
    slips = [Notice(*common, {"slip": str(person)}) for person in people]
    writer.write_now(lambda tx: put_off(tx, slips))


def print_slip(interaction: Interaction, about: Mapping[str, str], **_: object) -> str | None:
    """Print it, and return what came of it. None for a notice of another channel."""
    if "slip" not in about or (path := ShopSettings.load().PRINTER) is None:
        return None
    if interaction.status != Interaction.Status.PENDING:
        return PendingSignal.Outcome.SETTLED
    name = users().get(pk=read_user_id(about["slip"])).get_username()
    with path.open("a") as printer:
        printer.write(f"{name}: {interaction.prompt['text']}\n")
    return PendingSignal.Outcome.SENT
