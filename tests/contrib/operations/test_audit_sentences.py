"""Tests of the audit in words."""

import pytest
from django.contrib.auth.models import User
from django.db.models import F

from sessions_app import runs
from sessions_app.contrib.operations.admin.audit_pages import read_sentences
from sessions_app.interactions import audit
from sessions_app.lifecycle.due import release_claims
from sessions_app.models import Interaction
from sessions_app.runs import requests
from sessions_app.storage import reads
from sessions_app.workflows import BinaryPrompt, group, user
from tests.runtime.assignment.asking import asking_people, change, entries
from tests.support.hosting import django_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("how", "by", "sentence"),
    [
        ("deadline", "", "Nobody answered “Go?” in time: it went on with “yes”"),
        (
            "operator",
            "boss",
            "boss ended the wait for “Go?”: it went on with “yes”, from the admin",
        ),
        ("stop", "", "“Go?” was cancelled, as its run ended first"),
    ],
)
async def test_the_audit_says_how_a_question_ended_that_nobody_answered(
    how: str, by: str, sentence: str
) -> None:
    asked = BinaryPrompt(text="Go?", options=["yes", "no"], timeout=3600, default="yes")
    async with asking_people("boss", to=user("boss"), prompt=asked) as (hosting, prompt, [boss]):
        if how == "deadline":
            rows = Interaction.objects.filter(pk=prompt.pk)
            await reads.read(lambda: rows.update(expires_at=F("created_at")))
            await hosting.settle_due()
        elif how == "operator":
            await requests.aexpire(prompt.pk, by=django_user(boss), via="admin")
        else:
            await runs.acancel(prompt.run_id)
        await hosting.until_ended(prompt.run_id)
        *_, entry = await reads.read(entries, prompt)
        assert entry.by_name == by
        [text] = await reads.read(lambda: [str(one) for one in read_sentences([entry])])
        assert text == sentence


@pytest.mark.parametrize(
    ("via", "sentence"),
    [("inbox", "“Go?” was delivered to boss’s inbox"), ("page", "boss opened “Go?”")],
)
async def test_the_audit_says_opened_only_of_the_page_of_a_question(
    via: str, sentence: str
) -> None:
    asked = BinaryPrompt(text="Go?", options=["yes", "no"])
    async with asking_people("boss", to=user("boss"), prompt=asked) as (_, prompt, [boss]):
        await audit.record_shown([prompt.pk], by=boss, via=via)
        *_, last = await reads.read(lambda: read_sentences(entries(prompt)))
        assert str(last) == sentence


async def test_the_audit_says_that_a_claim_was_released_as_its_person_left() -> None:
    to = group("managers")
    async with asking_people("boss", members="managers", to=to) as (_, prompt, [boss]):
        await change("claim", prompt, boss)
        await User.objects.filter(pk=boss.id).aupdate(is_active=False)
        await release_claims()
        *_, last = await reads.read(lambda: read_sentences(entries(prompt)))
        assert str(last).endswith("was released, as its person may answer no more")
