"""Tests of the inbox with a prompt for several people, and of one answer to several prompts."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from chat_app.page.inbox.inbox_entries import find_alike, make_entries
from sessions_app.models import Interaction, Vote
from sessions_app.prompts import BinaryPrompt, Option
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)


def ask(owner: User, name: str = "c", *, workflow: str = "none") -> Interaction:
    """Return a question in a conversation of its own."""
    log = StoredLog(owner, name, workflow=workflow)
    options = [Option(value="yes"), Option(value="no")]
    return log.ask(log.message(), BinaryPrompt(text=f"{name}?", options=options))


def test_votes_are_shown_only_after_voting(ann: User) -> None:
    prompt, ben, eve = ask(ann), *(User.objects.create_user(name) for name in ("ben", "eve"))
    prompt.assignment = {"to": [], "names": ["all"], "votes": 3}
    prompt.save()
    Vote.objects.create(
        interaction=prompt,
        by=ben,
        response={"value": "no"},
        at=timezone.now(),
        via="inbox",
        answer_id="a",
        vouched=True,
    )
    answers_by_reader = {
        reader: [vote.answer for vote in entry.votes]
        for reader in (ben, eve)
        for entry in make_entries([prompt], reader.pk)
    }
    assert answers_by_reader == {ben: ["no"], eve: []}


def test_only_prompts_of_one_workflow_are_answered_at_once(ann: User) -> None:
    prompts = [ask(ann, "a"), ask(ann, "b"), ask(ann, "c", workflow="other")]
    entries, [alike] = find_alike(make_entries(prompts, ann.pk))
    assert alike.count == 2
    assert [entry.alike_key for entry in entries] == [alike.key, alike.key, ""]


async def test_joint_answers_name_the_prompts_already_answered(
    client: AsyncClient, ann: User
) -> None:
    def store() -> list[Interaction]:
        prompts = [ask(ann, name) for name in "ab"]
        settled_rows = Interaction.objects.filter(pk=prompts[0].pk)
        settled_rows.update(status="answered", response={"value": "no"}, answered_by=ann)
        return prompts

    prompts = await asyncio.to_thread(store)
    form = {"prompt": [str(one.pk) for one in prompts], "value": "yes"}
    response: Any = await client.post(reverse("chat:answer_several"), form, follow=True)
    html = response.content.decode()
    assert "“a?”: ann already answered this question." in html
    assert "1 answered." in html


async def test_an_answer_to_a_prompt_claimed_by_another_is_reported_as_refused(
    client: AsyncClient, ann: User
) -> None:
    prompt = await asyncio.to_thread(ask, ann)
    ben = await User.objects.acreate_user("ben")
    rules = {"to": [{"kind": "user", "id": str(one.pk)} for one in (ann, ben)], "names": []}
    await Interaction.objects.filter(pk=prompt.pk).aupdate(assignment=rules, assignee=ben)
    path = reverse("chat:answer_prompt", args=[prompt.pk])
    response: Any = await client.post(path, {"value": "yes"}, follow=True)
    assert "ben has claimed this question. Your answer was: yes" in response.content.decode()


@pytest.mark.parametrize(
    ("next_url", "location"),
    [
        ("/inbox/?part=mine", "/inbox/?part=mine"),
        ("", "/inbox/"),
        ("mine", "/inbox/"),
        ("//evil.example/", "/inbox/"),
        ("/\\evil.example/", "/inbox/"),
        ("https://evil.example/", "/inbox/"),
    ],
)
@pytest.mark.usefixtures("ann")
async def test_a_form_leads_back_to_pages_of_this_site_only(
    client: AsyncClient, next_url: str, location: str
) -> None:
    response = await client.post(reverse("chat:answer_several"), {"next": next_url})
    assert (response.status_code, response["Location"]) == (303, location)
