"""An example workflow in the peer's web UI, from the message to the end."""

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
            await ui.until_asked(question)
            await ui.answer(answer)
        text = await ui.until_ended()
        assert "booked as **EXP-" in text
        assert text.endswith("Claims in this ledger: 1, together 236.00 €.")
        assert ui.note == "236.00 € will be paid to you."
