"""Tests of the form by which an operator answers: notes, forms, tool calls, malformed answers."""

import pytest

from sessions_app.models import Interaction
from sessions_app.storage import reads
from sessions_app.workflows import Context, FormPrompt
from tests.contrib.operations.administrator import Operator, answer_page, host_and_operate
from tests.runtime.assignment.asking import asks
from tests.runtime.assignment.test_notes import PROMPT, settled
from tests.runtime.forms import asked
from tests.runtime.forms.asked import Small
from tests.runtime.replay.deployed import host_code
from tests.support.hosting import Hosting, asking
from tests.wire.test_malformed_answers import FORMS, PROMPTS
from tests.wire.test_tool_call_doors import ASK, FORM, assert_executed

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_operator_writes_the_note_that_an_option_needs() -> None:
    asks(PROMPT)
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        run, prompt = await hosting.submit_until_prompt()
        page = answer_page(prompt.pk)
        assert "Give a reason for “" in await boss.post(page, {"answer": "refuse"})
        await boss.post(page, {"answer": "refuse", "note": "too dear"})
        await hosting.until_ended(run)
        assert (await settled(prompt))[1] == "refuse – too dear"


async def ask_approval(context: Context) -> str:
    return str((await context.ask(FormPrompt(Small, text="?", reject="Refuse"))).approved)


async def test_an_operator_rejects_a_form_that_is_filled_in() -> None:
    async with asking(host_code(ask_approval)) as (hosting, run, prompt):
        boss = await Operator().signed_in()
        await boss.post(answer_page(prompt.pk), {"f-days": "3", "value": "reject"})
        assert await hosting.result(run) == "False"


async def ask_small(context: Context) -> str:
    return repr((await context.ask(FormPrompt(Small, text="?"))).value)


async def test_a_form_that_is_gone_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(host_code(ask_small)) as (_, _, prompt):
        boss = await Operator().signed_in()
        monkeypatch.delattr(asked, "Small")
        assert "Old = New" in await boss.post(answer_page(prompt.pk), {})


async def test_operators_edit_arguments() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run, prompt = await hosting.submit_until_prompt(ASK)
        assert "f-pieces" in await boss.get(answer_page(prompt.pk))
        letter = {**FORM, "f-letter": "Send them.", "value": "approve"}
        assert "does not match" in await boss.post(answer_page(prompt.pk), letter)
        approval = {**FORM, "value": "approve"}
        assert "Answered." in await boss.post(answer_page(prompt.pk), approval)
        await assert_executed(hosting, run, by="boss", via="admin")


@pytest.mark.parametrize("name", PROMPTS)
async def test_an_answer_that_does_not_say_yes_or_no_is_not_taken(name: str) -> None:
    async with host_and_operate(Hosting("t_malformed")) as (hosting, boss):
        _, prompt = await hosting.submit_until_prompt(name)
        for form in FORMS:
            await boss.post(answer_page(prompt.pk), form)
        row = await reads.read(Interaction.objects.get, pk=prompt.pk)
        assert (row.status, row.response) == ("pending", None)
