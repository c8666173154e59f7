"""E-mail about questions that wait: to whom, when, once."""

import asyncio
import smtplib
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail as outgoing
from django.test import AsyncClient
from django.utils import formats, timezone

from chat_app.contrib.notifications import mail, notices
from chat_app.contrib.notifications.mail import MOST_SHOWN, mail_time, send
from chat_app.contrib.notifications.models import MailPreference
from chat_app.inbox import inbox_query
from sessions_app import signals
from sessions_app.interactions import answers, claims
from sessions_app.interactions.answers import IncomingAnswer
from sessions_app.models import Interaction, PendingSignal
from sessions_app.models.people import Person, UserId
from sessions_app.prompts import TextAnswer
from sessions_app.signals import delivery
from sessions_app.signals.delivery import send_due
from sessions_app.storage import reads
from sessions_app.workflows import BinaryPrompt, Context, Message, group, workflow
from tests.contrib.operations.administrator import Operator
from tests.page.plain_page import PlainPage
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, make_members, make_user, until

pytestmark = pytest.mark.django_db(transaction=True)
Mode = MailPreference.Mode


PROMPT = BinaryPrompt(text="Give ann 3 days off?\nShe asks.", options=["yes", "no"])
MANAGERS = group("managers")


@workflow(name="t_mail", title="Mail")
async def asks(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield str((await context.ask(PROMPT, to=MANAGERS, four_eyes=True)).value)


@workflow(name="t_reminded", title="Reminded")
async def reminds(message: Message, context: Context) -> AsyncGenerator[str, None]:
    prompt = PROMPT.model_copy(update={"timeout": 7200})
    asked = context.ask(prompt, to=MANAGERS, four_eyes=True, due=3600, remind=[600, 60])
    yield str((await asked).value)


@pytest.fixture(autouse=True)
def site_that_sends_mail(settings: Any) -> None:
    set_hitl(settings, MAIL="now", PUBLIC_URL="https://chat.example.org/")
    notices.connect()


def managers(*names: str) -> list[Person]:
    users = make_members("managers", *names)
    for one in users:
        one.email = f"{one.username}@example.org"
        one.save()
    return [Person.of(one) for one in users]


@asynccontextmanager
async def asked_of(
    *names: str, workflow: str = "t_mail"
) -> AsyncIterator[tuple[Hosting, Interaction, list[Person]]]:
    """Have ann ask managers of these names; nobody is told yet."""
    async with Hosting(workflow) as hosting:
        people = await reads.read(managers, *names)
        _, prompt = await hosting.submit_until_prompt()
        yield hosting, prompt, people


async def delegate(prompt: Interaction, by: Person, to: str) -> None:
    await claims.change("delegate", str(prompt.pk), to=to, by=by, via="test")


async def send_all_due() -> None:
    """Send what is due by now; mails about new questions are put off."""
    while await send_due():
        pass


async def time_passes() -> None:
    """Send what is put off, as if its time had come."""
    await send_all_due()
    put_off = PendingSignal.objects.filter(name="notice_due", due_at__isnull=False)
    await reads.read(lambda: put_off.update(due_at=timezone.now()))
    await send_all_due()


async def answer(prompt: Interaction, by: Person) -> None:
    text = IncomingAnswer("m1", "test", TextAnswer("yes"), interaction=str(prompt.pk))
    await answers.answer(by=by, conversation_id=None, answer=text)


async def outcomes() -> list[str]:
    rows = PendingSignal.objects.filter(name="notice_due").order_by("pk")
    return [outcome async for outcome in rows.values_list("outcome", flat=True)]


def sent_mails() -> list[tuple[str, list[str]]]:
    return [(str(one.subject), one.to) for one in outgoing.outbox]


async def test_every_answerer_gets_one_mail_with_a_link_and_the_time_of_their_zone() -> None:
    # Of ann it is, for four eyes. Who has no zone that is known gets the clock of the site.
    async with asked_of("boss", "cara", "ann", workflow="t_reminded") as (_, prompt, people):
        for person, zone in zip(people, ("Asia/Tokyo", "Nowhere/Land"), strict=False):
            await MailPreference.objects.acreate(user_id=person.id, mode=Mode.NOW, zone=zone)
        await time_passes()
        mails = {one.to[0]: one for one in outgoing.outbox}
        assert set(mails) == {"boss@example.org", "cara@example.org"}
        mail = mails["boss@example.org"]
        assert mail.subject == "Give ann 3 days off?"
        assert f"https://chat.example.org/p/{prompt.pk}/" in mail.body
        assert "She asks" not in mail.body
        assert prompt.due_at is not None
        at = prompt.due_at.astimezone(ZoneInfo("Asia/Tokyo"))
        assert f"Asked by ann\nAnswer by {formats.localize(at)} JST" in mail.body
        await time_passes()
        assert len(outgoing.outbox) == 2


async def test_several_prompts_make_one_mail_and_a_claimed_prompt_makes_none() -> None:
    async with asked_of("boss", "cara") as (hosting, first, [_, cara]):
        await hosting.submit_until_prompt(conversation="c2")
        await claims.change("claim", str(first.pk), by=cara, via="test")
        await time_passes()
        assert sorted(sent_mails()) == [
            ("2 questions are waiting for you", ["cara@example.org"]),
            ("Give ann 3 days off?", ["boss@example.org"]),
        ]


@pytest.mark.slow
async def test_a_mail_says_where_more_wait_than_it_has() -> None:
    async with asked_of("boss") as (hosting, _, _):
        for number in range(1, MOST_SHOWN + 1):
            if number == MOST_SHOWN:
                await time_passes()
            await hosting.submit_until_prompt(conversation=f"c{number}")
        await time_passes()
        assert ["More in your inbox" in one.body for one in outgoing.outbox] == [False, True]


@pytest.mark.parametrize("error", [smtplib.SMTPServerDisconnected("away"), RuntimeError("away")])
async def test_a_mail_that_is_not_taken_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with asked_of("boss"):

        def refuse(*_: Any, **__: Any) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(outgoing.EmailMessage, "send", refuse)
            await time_passes()
        assert sent_mails() == []
        notices = PendingSignal.objects.filter(name="notice_due")
        assert [one.error async for one in notices] == ["away"]
        await time_passes()
        assert len(sent_mails()) == 1
        assert await outcomes() == ["sent"]


async def test_a_delegated_prompt_is_mailed_to_the_new_assignee_only() -> None:
    async with asked_of("boss", "cara") as (hosting, first, [boss, _]):
        await hosting.submit_until_prompt(conversation="c2")
        await time_passes()
        outgoing.outbox.clear()
        await delegate(first, boss, "cara")
        await time_passes()
        assert sent_mails() == [("2 questions are waiting for you", ["cara@example.org"])]
        assert sorted(await outcomes()) == ["in_another"] * 2 + ["sent"] * 3


async def test_unsubscribing_stops_the_mails() -> None:
    async with asked_of("boss") as (hosting, _, _):
        await time_passes()
        header = outgoing.outbox.pop().extra_headers["List-Unsubscribe"]
        path = header.strip("<>").removeprefix("https://chat.example.org")
        client, chosen = AsyncClient(enforce_csrf_checks=True), MailPreference.objects
        looked = await client.get(path)
        assert (looked.status_code, (await chosen.aget()).mode) == (200, Mode.NOW)
        posted = await client.post(path, {"List-Unsubscribe": "One-Click"})
        assert (posted.status_code, (await chosen.aget()).mode) == (200, Mode.OFF)
        forged = path.replace("unsubscribe/", "unsubscribe/9")
        assert (await client.post(forged)).status_code == 404
        await hosting.submit_until_prompt(conversation="c2")
        await time_passes()
        assert sent_mails() == []


async def test_switching_mail_off_drops_postponed_mails() -> None:
    async with asked_of("boss", "cara"):
        await send_all_due()
        boss = MailPreference.objects.filter(user__username="boss")
        assert await reads.read(lambda: boss.update(mode=Mode.OFF)) == 1
        await time_passes()
        assert sent_mails() == [("Give ann 3 days off?", ["cara@example.org"])]
        assert sorted(await outcomes()) == ["sent", "unwanted"]


async def test_who_has_answered_all_that_waited_gets_no_mail() -> None:
    async with asked_of("boss") as (_, prompt, [boss]):
        await send_all_due()
        await answer(prompt, boss)
        await time_passes()
        assert (sent_mails(), await outcomes()) == ([], ["settled"])


async def test_a_mail_in_quiet_hours_waits_for_their_end_or_for_an_operator() -> None:
    operator = await Operator().signed_in()
    notices = PendingSignal.objects.filter(name="notice_due").order_by("pk")
    async with asked_of("boss", "cara"):
        await send_all_due()
        quiet = {"quiet_from": time(0), "quiet_until": time(23, 59, 59)}
        await reads.read(lambda: MailPreference.objects.update(**quiet))
        await time_passes()
        assert sent_mails() == []
        first, second = [one async for one in notices]
        assert [one.due_at and one.due_at > timezone.now() for one in (first, second)] == [True] * 2
        assert "waits" in await operator.get("/admin/sessions_app/pendingsignal/?state=waits")
        assert "told to be sent now" in await operator.act("pendingsignal", "send_again", first)
        await send_all_due()
        assert (len(sent_mails()), await outcomes()) == (1, ["sent", ""])
        await reads.read(lambda: MailPreference.objects.update(quiet_from=None))
        await time_passes()
        assert sorted(to for _, to in sent_mails()) == [["boss@example.org"], ["cara@example.org"]]
        assert await outcomes() == ["sent", "sent"]


async def test_two_senders_at_once_send_one_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asked_of("boss") as (_, _, [boss]):
        both, waiting = threading.Barrier(2, timeout=20), inbox_query.waiting_prompts

        def seen_by_both(*args: Any) -> list[inbox_query.ReadFirst]:
            both.wait()
            return waiting(*args)

        monkeypatch.setattr(inbox_query, "waiting_prompts", seen_by_both)
        since = timezone.now()
        await asyncio.gather(*(asyncio.to_thread(send, boss.id, since) for _ in range(2)))
        assert len(sent_mails()) == 1


@pytest.mark.parametrize(
    ("chosen", "now", "then"),
    [
        ({"mode": Mode.OFF}, "10:00", None),
        ({"mode": Mode.NOW}, "10:00", "20 10:01"),
        ({"mode": Mode.NOW, "quiet_from": time(20), "quiet_until": time(7)}, "18:58", "20 18:59"),
        ({"mode": Mode.NOW, "quiet_from": time(20), "quiet_until": time(7)}, "18:59", "21 06:00"),
        ({"mode": Mode.NOW, "quiet_from": time(20), "quiet_until": time(7)}, "03:00", "20 06:00"),
        ({"mode": Mode.NOW, "quiet_from": time(12), "quiet_until": time(13)}, "11:30", "20 12:00"),
        ({"mode": Mode.DAILY, "hour": 8}, "06:58", "20 07:00"),
        ({"mode": Mode.DAILY, "hour": 8}, "07:00", "21 07:00"),
    ],
)
def test_mails_come_when_the_person_wants_them(
    chosen: dict[str, Any], now: str, then: str | None
) -> None:
    """Berlin is an hour ahead in November."""
    preference = MailPreference(zone="Europe/Berlin", **chosen)
    at = datetime.fromisoformat(f"2026-11-20T{now}:00+00:00")
    due = mail_time(preference, at)
    assert (due and due.astimezone(UTC).strftime("%d %H:%M")) == then


async def client_of_ann() -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(await reads.read(make_user, "ann"))
    return client


async def test_the_settings_say_when_and_refuse_half_of_quiet_hours() -> None:
    client = await client_of_ann()
    assert "/settings/mail/" in (await client.get("/settings/")).content.decode()
    form = PlainPage((await client.get("/settings/mail/")).content.decode())
    modes = [one.value for one in form.controls if one.attributes.get("name") == "mode"]
    assert modes == ["off", "now", "daily"]
    choice = {"mode": "daily", "hour": "9", "zone": "Asia/Tokyo", "quiet_from": "20:00"}
    half = await client.post("/settings/mail/", choice)
    assert half.status_code == 422
    assert "Enter both times" in half.content.decode()
    whole = await client.post("/settings/mail/", {**choice, "quiet_until": "7:00"})
    assert whole.status_code == 302
    saved = await MailPreference.objects.aget(user__username="ann")
    assert (saved.mode, saved.hour, saved.zone) == ("daily", 9, "Asia/Tokyo")


async def test_nothing_is_written_where_the_site_offers_no_mail(settings: Any) -> None:
    set_hitl(settings, MAIL="", PUBLIC_URL="https://chat.example.org")
    client = await client_of_ann()
    assert (await client.get("/settings/mail/")).status_code == 404
    async with asked_of("boss"):
        await time_passes()
        assert sent_mails() == []
        assert not await MailPreference.objects.aexists()


def test_nobody_is_written_to_who_was_deleted_meanwhile() -> None:
    assert send(10_000, timezone.now()) == PendingSignal.Outcome.UNWANTED
    assert not MailPreference.objects.exists()


async def test_a_reminder_comes_before_it_is_due_and_not_once_it_is_settled() -> None:
    seconds_before: list[float] = []

    def hear(about: dict[str, Any], **_: Any) -> None:
        seconds_before.append(about["before"])

    signals.interaction_due_soon.connect(hear)
    async with asked_of("boss", workflow="t_reminded") as (_, prompt, [boss]):
        await time_passes()
        outgoing.outbox.clear()
        reminders = PendingSignal.objects.filter(name="interaction_due_soon").order_by("due_at")
        due = [
            round((prompt.due_at - at).total_seconds())
            for at in await reads.read(lambda: list(reminders.values_list("due_at", flat=True)))
            if prompt.due_at and at
        ]
        assert due == [600, 60]
        first = await reads.read(reminders.first)
        assert first is not None
        await reads.read(lambda: reminders.filter(pk=first.pk).update(due_at=timezone.now()))
        await time_passes()
        assert sent_mails() == [("Give ann 3 days off?", ["boss@example.org"])]
        await answer(prompt, boss)
        await reads.read(lambda: reminders.update(due_at=timezone.now()))
        await time_passes()
        assert (len(sent_mails()), seconds_before) == (1, [600])
        assert not await reads.read(PendingSignal.objects.exclude(name="notice_due").exists)


async def test_a_person_whose_notice_cannot_be_made_keeps_nobody_else_from_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_others = mail.preference_of

    def preference_of(user: UserId) -> MailPreference:
        if user == boss.id:
            raise RuntimeError("internal")
        return of_others(user)

    monkeypatch.setattr(mail, "preference_of", preference_of)
    async with asked_of("boss", "chef") as (_, _, [boss, _]):
        await time_passes()
        assert [to for _, to in sent_mails()] == [["chef@example.org"]]


@pytest.mark.slow
async def test_a_process_that_begins_sends_what_a_dead_one_had_taken_and_nothing_early() -> None:
    async with asked_of("boss", workflow="t_reminded"):
        taken_signals = PendingSignal.objects.filter(name="interaction_opened")
        soon = timezone.now() + delivery.SENDING_TIME
        # As when it died meanwhile.
        await reads.read(lambda: taken_signals.update(due_at=soon, attempts=1))
        task = asyncio.create_task(delivery.Delivery(is_single_process=True).main())
        try:
            await until(lambda: not taken_signals.exists())
        finally:
            task.cancel()
        names = PendingSignal.objects.order_by("due_at").values_list("name", flat=True)
        assert await reads.read(lambda: list(names)) == [
            *("notice_due", "interaction_due_soon", "interaction_due_soon")
        ]
        assert sent_mails() == []
