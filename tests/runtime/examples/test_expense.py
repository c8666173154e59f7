"""The example `expense_approval`."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from natproject.workflows.expense_approval import parse_amount
from sessions_app.models import Interaction
from sessions_app.storage import reads
from tests.support.hosting import Hosting
from tests.support.scripted_conversation import converse, prompts_asked

ANSWERS: dict[str, str | list[str]] = {
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
def test_what_is_no_amount_is_none(text: str) -> None:
    assert parse_amount(text) is None


@pytest.mark.django_db(transaction=True)
class TestConversation:
    async def test_it_asks_every_type_of_prompt_and_books(self) -> None:
        async with Hosting("expense_approval", park_after=0) as hosting:
            text = await converse(hosting, "A dinner", ANSWERS)
            assert text.startswith("You claim **84.50 €**.")
            assert "Approved by ann and booked as **EXP-" in text
            assert text.endswith("Claims in this ledger: 1, together 84.50 €.")
            types = {prompt["input_type"] for prompt in await prompts_asked(hosting)}
            assert types == {
                "text", "dropdown", "radio", "checkbox", "binary_choice", "notification",
            }  # fmt: skip

    async def test_the_ledger_is_kept_from_run_to_run_of_a_user(self) -> None:
        async with Hosting("expense_approval") as hosting:
            await converse(hosting, "10.50", ANSWERS)
            text = await converse(hosting, "20", ANSWERS)
            assert text.endswith("Claims in this ledger: 2, together 30.50 €.")

    async def test_a_wrong_amount_is_asked_for_again(self) -> None:
        answers = {"no amount in 'much'": "7", **ANSWERS, "amount": "much"}
        async with Hosting("expense_approval") as hosting:
            assert "**7.00 €**" in await converse(hosting, "A keyboard", answers)

    async def test_rejected_is_not_booked(self) -> None:
        async with Hosting("expense_approval") as hosting:
            text = await converse(hosting, "10", {**ANSWERS, "Approve": "reject"})
            assert text.endswith("The claim is **rejected** (by ann).")

    async def test_at_the_deadline_the_claim_is_rejected(self) -> None:
        async with Hosting("expense_approval") as hosting:
            run = await hosting.submit("10")
            for value, values in [
                ("Sales", None), ("card", None), (None, ["receipt"]), ("x", None),
            ]:  # fmt: skip
                (prompt,) = await hosting.prompts(run)
                await hosting.answer(value, prompt, values=values)
            (decision,) = await hosting.prompts(run)
            past = timezone.now() - timedelta(seconds=1)
            await reads.read(
                lambda: Interaction.objects.filter(pk=decision.pk).update(expires_at=past)
            )
            await hosting.settle_due()
            await hosting.ended(run)
            assert (await hosting.output(run)).endswith("**rejected** (nobody decided in time).")
