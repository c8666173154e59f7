"""Tests of the example `expense_approval`."""

from decimal import Decimal
from pathlib import Path

import pytest

from natproject.workflows.expense_approval import parse_amount
from sessions_app.contrib.replay.history_replay import replay_history
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.storage import reads
from tests.support.hosting import SentTo, make_members

ANSWERS: dict[str, Answer] = {
    "amount": "84,50",
    "cost centre": "Sales",
    "pay with": "own",
    "papers": ["receipt", "guests"],
    "for?": "dinner | Smith",
    "Approve": "approve",
    "paid to you": "ok",
}


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("Taxi 84.50", "84.50"),
        ("Dinner: 236 EUR", "236"),
        ("1,234.50", "1234.50"),
        ("1.234,5 €", "1234.5"),
        ("12,", "12"),
        ("0 or 7", "7"),
    ],
)
def test_amounts_are_read(text: str, amount: str) -> None:
    assert parse_amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["A new keyboard", "0", "0.00", "99999999"])
def test_text_without_an_amount_is_parsed_as_none(text: str) -> None:
    assert parse_amount(text) is None


async def test_a_recorded_history_still_replays() -> None:
    file = Path(__file__).with_name("histories") / "expense_approval.json"
    assert await replay_history(file) == []


class TestConversation:
    async def test_an_expense_asks_every_type_of_prompt_and_is_booked(
        self, sent_to: SentTo
    ) -> None:
        async with sent_to("expense_approval", "A dinner") as (_, run):
            await run.answer_all(ANSWERS)
            text = await run.result()
            assert text.startswith("You claim **84.50 €**.")
            assert "Approved by ann and booked as **EXP-" in text
            assert text.endswith("Claims in this ledger: 1, together 84.50 €.")
            types = {prompt.input_type for prompt in await run.asked()}
            assert types == {
                "text", "dropdown", "radio", "checkbox", "binary_choice", "notification",
            }  # fmt: skip

    async def test_a_manager_decides(self, sent_to: SentTo) -> None:
        [boss] = await reads.read(make_members, "managers", "boss")
        options = {"approvers": "managers"}
        async with sent_to("expense_approval", "10", options=options) as (_, run):
            for word in ["cost centre", "pay with", "papers", "for?"]:
                await run.answer(ANSWERS[word], to=word)
            with pytest.raises(AssertionError, match="is for managers"):
                await run.answer("approve")
            await run.answer("approve", by=boss)
            await run.answer_all(ANSWERS)
            assert "Approved by boss and booked" in await run.result()

    async def test_the_ledger_is_kept_from_run_to_run(self, host_workflow: NewHosting) -> None:
        async with host_workflow("expense_approval") as hosting:
            await hosting.converse("10.50", ANSWERS)
            text = await hosting.converse("20", ANSWERS)
            assert text.endswith("Claims in this ledger: 2, together 30.50 €.")

    async def test_a_wrong_amount_is_asked_for_again(self, host_workflow: NewHosting) -> None:
        answers = {"no amount in 'much'": "7", **ANSWERS, "amount": "much"}
        async with host_workflow("expense_approval") as hosting:
            assert "**7.00 €**" in await hosting.converse("A keyboard", answers)

    async def test_rejected_is_not_booked(self, host_workflow: NewHosting) -> None:
        async with host_workflow("expense_approval") as hosting:
            text = await hosting.converse("10", {**ANSWERS, "Approve": "reject"})
            assert text.endswith("The claim is **rejected** (by ann).")

    async def test_at_the_deadline_the_claim_is_rejected(self, sent_to: SentTo) -> None:
        async with sent_to("expense_approval", "10") as (hosting, run):
            for word in ["cost centre", "pay with", "papers", "for?"]:
                await run.answer(ANSWERS[word], to=word)
            await hosting.advance(days=3)
            assert (await run.result()).endswith("**rejected** (nobody decided in time).")
