"""Tests of runs that ask forms: replay, restarts, and a missing form class."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import structlog

from sessions_app.contrib.replay.waiting_runs_check import check_waiting_runs
from sessions_app.errors import Invalid
from sessions_app.interactions.answers import IncomingAnswer, Outcome, answer_together
from sessions_app.models import Interaction, Run
from sessions_app.prompts import JsonAnswer, on_one_card
from sessions_app.storage import reads
from sessions_app.workflows import (
    Context,
    FormPrompt,
    Message,
    NotificationPrompt,
    TextPrompt,
    workflow,
)
from tests.runtime.forms import asked
from tests.runtime.forms.asked import Every, Small, Today
from tests.runtime.forms.test_form_prompts import GIVEN
from tests.runtime.replay.deployed import deploy, host_code
from tests.support.hosting import SentTo, asking, running
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # the import declares the workflow


@workflow(name="t_forms", title="Forms")
async def ask_forms(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Ask two forms, then something else."""
    first = await context.ask(FormPrompt(Every, text="every?"))
    second = await context.ask(
        FormPrompt(Small, text="small?", initial={"days": "2"}, proposal=True)
    )
    before = repr((first.value, second.value, second.before, second.changed, second.by))
    await context.ask(TextPrompt(text="more?"))
    yield before


async def test_replay_has_the_same_typed_answers() -> None:
    outputs = []
    for restarts in (False, True):
        async with running("t_forms") as (hosting, run):
            for answer in (GIVEN, {"days": "2.50"}):
                [prompt] = await hosting.prompts(run)
                await hosting.answer(json.dumps(answer), prompt)
            [prompt] = await hosting.prompts(run)
            outputs.append(await hosting.complete(run, "x", prompt, restart=restarts))
    assert "Decimal('2.50')" in outputs[0]
    assert outputs[0] == outputs[1]


async def test_the_kit_takes_a_dict_by_field(sent_to: SentTo) -> None:
    async with sent_to("t_forms", "go") as (_, run):
        await run.answer(GIVEN)
        with pytest.raises(Invalid, match="Days: Enter a number"):
            await run.answer({"days": "few"})
        await run.answer({"days": 3})
        await run.answer("x")
        assert "('days',)" in await run.result()


async def ask_small(context: Context) -> str:
    return repr((await context.ask(FormPrompt(Small, text="?"))).value)


async def ask_today(context: Context) -> str:
    return repr((await context.ask(FormPrompt(Today, text="?"))).value)


async def test_a_form_that_is_gone_is_found_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(host_code(ask_small, park_after=0)) as (hosting, run, prompt):
        deploy(ask_today)
        gone = asked.Small
        monkeypatch.delattr(asked, "Small")
        with structlog.testing.capture_logs() as logs:
            await check_waiting_runs()
        [line] = [line for line in logs if line["log_level"] == "error"]
        assert "asked:Small" in line["error"]
        row = await reads.read(Run.objects.get, pk=run)
        assert "asked:Small" in row.replay_problem
        # The question cannot be answered while the form class is missing, but the run stays as it
        # is.
        with pytest.raises(Invalid, match="does not work at the moment"):
            await hosting.answer('{"days": 1}', prompt)
        # Restore the form class under the same name.
        monkeypatch.setattr(asked, "Small", gone, raising=False)
        await hosting.answer('{"days": 1}', prompt)
        assert await hosting.result(run) == "Small(days=Decimal('1'))"


@workflow(name="t_together", title="Together")
async def ask_together(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Ask two prompts on one card, then another alone."""
    prompts: list[Any] = [TextPrompt(text="name?"), FormPrompt(Small, text="days?")]
    answers = await context.ask_all(prompts, together="Both")
    more = await context.ask_all([TextPrompt(text="more?")])
    yield repr([one.value for one in (*answers, *more)])


def answer_to(prompt: Interaction, value: Any) -> IncomingAnswer:
    return IncomingAnswer("a1", "test", JsonAnswer.of(value), interaction=str(prompt.pk))


async def test_prompts_of_one_card_are_answered_all_or_none() -> None:
    async with running("t_together") as (hosting, run):
        name, days = await hosting.prompts(run, 2)
        assert name.prompt["together"] == days.prompt["together"] == {"title": "Both", "first": 1}
        both = [answer_to(name, "Ada"), answer_to(days, {"days": "few"})]
        together: dict[str, Any] = {"by": hosting.person, "conversation_id": "c"}
        wrong = answer_to(name, {"name": "Ada"})
        for answers, names in (
            (both, {f"{days.pk}-days"}),
            ([wrong, both[1]], {str(name.pk), f"{days.pk}-days"}),
        ):
            with pytest.raises(Invalid) as error_info:
                await answer_together(**together, answers=answers)
            assert set(error_info.value.details["errors"]) == names
        await hosting.prompts(run, 2)
        both[1] = answer_to(days, {"days": 3})
        unknown = answer_to(Interaction(pk=run), "x")
        missed = await answer_together(**together, answers=[*both, unknown])
        assert missed.outcome == Outcome.NOT_FOUND
        await hosting.prompts(run, 2)
        for outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE):
            assert (await answer_together(**together, answers=both)).outcome == outcome
        [more] = await hosting.prompts(run)
        assert "together" not in more.prompt
        await hosting.restart()
        late = [answer_to(more, "x"), answer_to(name, "Eve")]
        assert (await answer_together(**together, answers=late)).outcome == Outcome.STALE
        [more] = await hosting.prompts(run)
        assert await hosting.complete(run, "x", more) == "['Ada', Small(days=Decimal('3')), 'x']"


async def test_what_is_asked_on_two_cards_at_once_is_on_two() -> None:
    async def asks(context: Context) -> str:
        cards = [context.ask_all([TextPrompt(text="?")] * 2, together=title) for title in "AB"]
        return str(await context.gather(*cards))

    async with running(host_code(asks)) as (hosting, run):
        cards = [prompt.prompt["together"] for prompt in await hosting.prompts(run, 4)]
    first, second = {"title": "A", "first": 1}, {"title": "B", "first": 3}
    assert cards == [first, first, second, second]


@pytest.mark.parametrize(
    ("prompts", "why"),
    [
        ([TextPrompt(text="?")] * 21, "at most 20"),
        ([TextPrompt(text="?"), NotificationPrompt(text="!")], "has a card of its own"),
        ([FormPrompt(Small, text="?", reject="No")], "has a card of its own"),
    ],
)
def test_prompts_with_their_own_buttons_cannot_share_a_card(prompts: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        on_one_card(prompts, "Title", 1)
