"""Tests of the note with a decision: when it is required, and who can read it."""

import json
from typing import Any

import pytest
from django.test import AsyncClient
from django.urls import reverse

from sessions_app.errors import Invalid
from sessions_app.interactions.answers import Outcome
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import users
from sessions_app.prompts import BinaryPrompt, Option, load_prompt
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage import reads
from sessions_app.workflows import group, user
from tests.page.plain_page import press, text_of
from tests.runtime.assignment.asking import asking_people, asks, give, people
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)

OPTIONS = [Option(value="pay"), Option(value="refuse", needs_note=True)]
PROMPT = BinaryPrompt(text="Pay it?", options=OPTIONS)


def noted(value: str, note: str) -> str:
    return json.dumps({"value": value, "note": note})


async def settled(prompt: Interaction) -> tuple[Any, str]:
    """Return the typed answer to a prompt, and the outcome in words."""
    row = await Interaction.objects.select_related("answered_by").aget(pk=prompt.pk)
    texts = await reads.read(lambda: QuestionView.of(row).outcome)
    assert texts is not None
    assert row.response is not None
    attribution: dict[str, Any] = {"by": None, "at": None, "is_default": False}
    return load_prompt(row.prompt).respond(row.response, **attribution), texts.line


async def test_an_option_that_needs_a_note_is_not_chosen_without() -> None:
    asks(PROMPT)
    async with Hosting("t_assigned") as hosting:
        run, prompt = await hosting.submit_until_prompt()
        no_note = '{"value": "refuse", "note": null}'
        for answer in ("refuse", noted("refuse", " "), noted("refuse", "a\0b"), no_note):
            with pytest.raises(Invalid):
                await hosting.answer(answer, prompt)
        assert (await hosting.answer(noted("refuse", "too dear"), prompt)).outcome == "accepted"
        await hosting.until_ended(run)
        response, line = await settled(prompt)
        assert (response.value, response.note) == ("refuse", "too dear")
        assert line == "refuse – too dear"


@pytest.mark.slow
async def test_the_deadline_answers_without_a_note() -> None:
    prompt = BinaryPrompt(text="Pay it?", options=OPTIONS, timeout=60, default="refuse")
    assert prompt.default_answer() == {"value": "refuse"}


async def test_votes_with_different_notes_agree() -> None:
    to = [user("boss"), user("other")]
    async with asking_people("boss", "other", to=to, votes=2) as (_, prompt, [boss, other]):
        assert (await give(noted("yes", "well"), prompt, boss)).outcome == Outcome.VOTED
        client = AsyncClient()
        await client.aforce_login(await users().aget(username="other"))
        assert '<q dir="auto">well</q>' not in await text_of(client, "prompt", prompt.pk)
        assert (await give(noted("yes", "fine"), prompt, other)).outcome == Outcome.ACCEPTED
        assert '<q dir="auto">well</q>' in await text_of(client, "prompt", prompt.pk)
        response, _ = await settled(prompt)
        assert response.note == "fine"
        entry = await AuditEntry.objects.aget(interaction=prompt.pk, action="voted")
        assert entry.detail["response"]["note"] == "well"


@pytest.mark.slow
async def test_a_note_is_written_by_the_form_and_read_in_the_history() -> None:
    async with Hosting("t_assigned") as hosting:
        await reads.read(people, "boss", to="managers")
        asks(PROMPT, to=group("managers"))
        _, prompt = await hosting.submit_until_prompt()
        client = AsyncClient()
        await client.aforce_login(await users().aget(username="boss"))
        path = reverse("chat:prompt", args=[prompt.pk])
        html = (await client.get(path)).content.decode()
        assert "Reason (required for: refuse)" in " ".join(html.split())
        refused = await press(client, html, "refuse", path)
        assert "Give a reason" in refused
        after = await press(client, html, "refuse", path, note="too dear")
        assert "refuse – too dear" in after
        assert '<q dir="auto">too dear</q>' in after
