"""Tests of feedback on an answer: given on the page, changed, taken back, seen by operators."""

import asyncio
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse

from chat_app.feedback import find_run
from sessions_app.models import Feedback, Run
from tests.page.plain_page import export, page, press
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)
UP, DOWN = "👍", "👎"


@pytest.fixture
def run(log: StoredLog) -> Run:
    run = log.message("hello <you>")
    log.text(run, "An answer.")
    log.end(run)
    return run


async def give(client: AsyncClient, run: Any, *, script: bool = False, **fields: str) -> Any:
    path = reverse("chat:feedback", args=["c", run if isinstance(run, str) else run.pk])
    headers = {"Accept": "application/json"} if script else {}
    return await client.post(path, fields, headers=headers)


async def stored_feedback() -> list[tuple[str, str]]:
    return [pair async for pair in Feedback.objects.values_list("reaction", "comment")]


async def test_feedback_is_given_changed_and_withdrawn_by_the_forms(
    client: AsyncClient, run: Run
) -> None:
    html = await page(client)
    assert html.count('aria-pressed="false"') == 2
    assert f'id="feedback-{run.pk}"' in html
    comment = "too <b>short</b> so"
    for button, typed, expected in (
        ("Good answer", {}, [(UP, "")]),
        ("Save", {"comment": "too <b>short</b>\n so "}, [(UP, comment)]),
        ("Bad answer", {}, [(DOWN, comment)]),
        ("Bad answer", {}, [("", comment)]),
        ("Save", {"comment": " "}, []),
    ):
        html = await press(client, html, button, **typed)
        assert await stored_feedback() == expected
        assert html.count('aria-pressed="true"') == sum(bool(thumb) for thumb, _ in expected)
        assert ("too &lt;b&gt;short&lt;/b&gt; so" in html) == ((comment) in str(expected))
    answer = await give(client, run, reaction=UP, comment="")
    assert (answer.status_code, answer["Location"]) == (303, f"/c/c/#feedback-{run.pk}")


async def test_the_script_is_answered_without_a_page(client: AsyncClient, run: Run) -> None:
    answer = await give(client, run, script=True, reaction=UP)
    assert (answer.status_code, answer.content) == (204, b"")
    answer = await give(client, run, script=True, comment="x" * 1025)
    assert answer.status_code == 422
    assert json.loads(answer.content)["error"].startswith("The text has 1,025 characters")
    answer = await give(client, run, script=True, reaction="a\0b")
    assert answer.status_code == 422
    assert await stored_feedback() == [(UP, "")]


async def test_refused_feedback_shows_the_reason_on_the_page(client: AsyncClient, run: Run) -> None:
    await give(client, run, reaction="x" * 21)
    assert "The text has 21 characters; at most 20 are allowed." in await page(client)
    assert await stored_feedback() == []


async def test_only_runs_with_an_answer_ask_for_feedback(
    client: AsyncClient, log: StoredLog
) -> None:
    def store() -> Run:
        failed_run = log.message()
        log.end(failed_run, "failed", "No luck.")
        log.message()
        return failed_run

    failed_run = await asyncio.to_thread(store)
    assert "data-feedback" not in await page(client)
    # Over HTTP it can be given on any run; then it is shown.
    await give(client, failed_run, reaction=DOWN)
    assert (await page(client)).count("data-feedback") == 1


async def test_feedback_is_in_both_exports(client: AsyncClient, run: Run) -> None:
    assert json.loads(await export(client, "c", "json"))["runs"][0]["feedback"] is None
    await give(client, run, reaction=DOWN, comment="too short")
    feedback = json.loads(await export(client, "c", "json"))["runs"][0]["feedback"]
    assert feedback == {"reaction": DOWN, "comment": "too short"}
    assert f"An answer.\n\n{DOWN} too short\n" in await export(client, "c", "md")


async def test_operators_find_feedback_by_reaction_and_user(
    client: AsyncClient, run: Run, admin_user: User
) -> None:
    await give(client, run, reaction=DOWN, comment="far <i>too</i> short")
    await client.aforce_login(admin_user)
    list_url = reverse("admin:sessions_app_feedback_changelist")

    async def is_listed(**query: str) -> bool:
        html = (await client.get(list_url, query)).content.decode()
        return "far &lt;i&gt;too&lt;/i&gt; short" in html and "hello &lt;you&gt;" in html

    assert await is_listed()
    assert await is_listed(reaction=DOWN)
    assert await is_listed(q="ann")
    assert not await is_listed(reaction=UP)
    assert not await is_listed(q="short")
    of_the_run = reverse("admin:sessions_app_run_change", args=[run.pk])
    html = (await client.get(of_the_run)).content.decode()
    assert f"{DOWN} far &lt;i&gt;too&lt;/i&gt; short" in html
    one = reverse("admin:sessions_app_feedback_change", args=[run.pk])
    assert (await client.get(one)).status_code == 200


async def test_feedback_by_a_trace_is_for_the_answer_and_not_for_what_it_called(
    log: StoredLog, ann: User, run: Run
) -> None:
    child = await asyncio.to_thread(log.begin, parent=run, parent_position=0)
    await Run.objects.filter(pk__in=[run.pk, child.pk]).aupdate(metadata={"trace_id": "a" * 32})
    assert await find_run(owner=ann.pk, trace_id="a" * 32) == run.pk
