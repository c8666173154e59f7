"""The example workflows in the peer's web UI, from the message to the end."""

from tests.wire.peer_ui.conftest import NewTab


async def test_expense_approval(new_tab: NewTab) -> None:
    ui = new_tab(workflow="expense_approval")
    async with ui:
        await ui.say("Dinner with a customer")
        for question, answer in (
            ("What is the amount", "236"),
            ("Which cost centre", "Sales"),
            ("What did you pay with", "own"),
            ("Which papers", "Receipt, List of guests"),
            ("What was it for", "a customer"),
            ("Papers: Receipt, List of guests", "approve"),
        ):
            await ui.asked(question)
            await ui.answer(answer)
        text = await ui.ended()
        assert "booked as **EXP-" in text
        assert text.endswith("Claims in this ledger: 1, together 236.00 €.")
        assert ui.note == "236.00 € will be paid to you."


async def test_calculator(new_tab: NewTab) -> None:
    ui = new_tab(workflow="calculator")
    async with ui:
        await ui.say("1+2+3+4+5+6")
        assert await ui.asked("Try with up to 6?") == "binary_choice"
        await ui.answer("retry")
        assert await ui.ended() == "`1+2+3+4+5+6` = **21**"


async def test_parallel_review(new_tab: NewTab) -> None:
    ui = new_tab(workflow="parallel_review")
    async with ui:
        await ui.say("The list")
        for reviewer, verdict in (("Legal", "approve"), ("Security", "change"), ("Ed", "abstain")):
            await ui.asked(reviewer)
            await ui.answer(verdict)
        await ui.asked("Which changes are wanted?")
        await ui.answer("shorter")
        assert (await ui.ended()).endswith("**To be changed:** shorter")
