"""An expense claim, read from the message, completed by questions, approved and booked.

Shows every type of prompt, a prompt assigned to others, a deadline with a declared default, steps
with a retry, and a per-user builder with state.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from pydantic import BaseModel, Field

from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    DropdownPrompt,
    Message,
    NotificationPrompt,
    Option,
    Person,
    RadioPrompt,
    Retry,
    TextPrompt,
    group,
    workflow,
)

PAID_WITH = [
    Option(value="own", label="My own money", description="You will be paid back."),
    Option(value="card", label="Company card"),
    Option(value="invoice", label="Invoice to the company"),
]
PAPERS = [
    Option(value="receipt", label="Receipt"),
    Option(value="invoice", label="Invoice"),
    Option(value="guests", label="List of guests"),
]
DECISIONS = [
    Option(value="approve", label="Approve"),
    Option(value="reject", label="Reject"),
]


class ExpenseOptions(BaseModel, extra="forbid"):
    """The options of the expense approval in `workflows.yaml`."""

    cost_centres: list[str] = Field(["Sales", "Engineering", "Administration"], min_length=1)
    approvers: str | None = Field(None, description="a group, or null: whoever claims approves")
    approval_timeout: float = Field(3 * 86400, gt=0, description="seconds to approve in")


@dataclass(frozen=True)
class Claim:
    """The expense to be booked."""

    amount: Decimal
    cost_centre: str
    paid_with: str
    papers: list[str]
    purpose: str


@dataclass(frozen=True)
class Booking:
    """The receipt of the ledger; `total` is the sum in euro since the ledger was opened."""

    reference: str
    count: int
    total: Decimal


@dataclass
class Ledger:
    """A user's open ledger, as an example of a costly object, such as a client with a login.

    All runs of the user share the open ledger. An idle ledger is closed and forgotten, so lasting
    data belongs in a database.
    """

    owner: str
    bookings: dict[str, Decimal] = field(default_factory=dict)

    async def book(self, run_id: str, claim: Claim) -> Booking:
        """Book the claim; a repeated call for the same run books nothing new.

        A step may run twice if the process dies just before the result is stored. So external
        effects should have an idempotency key, such as the run's id here.
        """
        self.bookings[run_id] = claim.amount
        reference = f"EXP-{run_id[:8].upper()}"
        return Booking(reference, len(self.bookings), sum(self.bookings.values(), Decimal()))


@asynccontextmanager
async def open_ledger(user: Person, options: ExpenseOptions) -> AsyncIterator[Ledger]:
    """Build the ledger at a user's first run, and close the ledger after the `yield`."""
    ledger = Ledger(owner=user.username)
    try:
        yield ledger
    finally:
        ledger.bookings.clear()


@workflow(
    name="expense_approval",
    title="Expense approval",
    description="Checks an expense claim, and books it.",
    icon="receipt",
    starters=("Taxi to the airport, 84.50", "Dinner with a customer: 236 EUR", "A new keyboard"),
    asks=("for missing details", "for approval"),
    takes_files=True,
    options=ExpenseOptions,
    per_user_builder=open_ledger,
)
async def expense_approval(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Take a claim from the message to its booking."""
    amount = parse_amount(message.text)
    if amount is None:
        amount = await ask_amount(context)
    yield f"You claim **{amount:.2f} €**.\n\n"

    claim = await complete(amount, context)
    context.show("Claim", table(claim))

    # Without an answer, the declared default is the decision at the deadline.
    decision = await context.ask(
        BinaryPrompt(
            text=f"Approve {claim.amount:.2f} € for {claim.purpose}?",
            options=DECISIONS,
            details={**rows(claim), **attached_names(context)},
            timeout=context.options.approval_timeout,
            default="reject",
            error="Nobody decided in time, so the claim is rejected.",
        ),
        to=group(context.options.approvers) if context.options.approvers else None,
    )
    if decision.value == "reject":
        reason = "nobody decided in time" if decision.is_default else f"by {decision.by}"
        yield f"The claim is **rejected** ({reason})."
        return

    # The ledger changes inside a step, so that a replay does not book again.
    booking = await context.step(
        context.builder.book,
        context.run_id,
        claim,
        title="Book the claim",
        retry=Retry(attempts=3, wait=0.5),
    )
    yield f"Approved by {decision.by} and booked as **{booking.reference}**.\n\n"
    if claim.paid_with == "own":
        await context.ask(NotificationPrompt(text=f"{claim.amount:.2f} € will be paid to you."))
    else:
        await context.ask(NotificationPrompt(text="It is booked. There is nothing more to do."))
    yield f"Claims in this ledger: {booking.count}, together {booking.total:.2f} €."


async def ask_amount(context: Context) -> Decimal:
    """Ask until the answer has an amount."""
    question = "What is the amount in euro?"
    while True:
        answer = await context.ask(TextPrompt(text=question, placeholder="84.50", max_length=100))
        amount = parse_amount(answer.text)
        if amount is not None:
            return amount
        question = f"There is no amount in {answer.text!r}. What is it in euro, as in 84.50?"


async def complete(amount: Decimal, context: Context) -> Claim:
    """Ask for facts missing in the message."""
    centres = [Option(value=name) for name in context.options.cost_centres]
    centre = await context.ask(DropdownPrompt(text="Which cost centre pays?", options=centres))
    payment = await context.ask(RadioPrompt(text="What did you pay with?", options=PAID_WITH))
    papers = await context.ask(
        CheckboxPrompt(text="Which papers do you hand in?", options=PAPERS, min_selected=1)
    )
    purpose = await context.ask(TextPrompt(text="What was it for?", max_length=200))
    return Claim(amount, centre.value, payment.value, papers.values, purpose.text)


def parse_amount(text: str) -> Decimal | None:
    """Return the first positive amount in the text, such as "1,234.50" or "84,50", or None."""
    for whole, cents in re.findall(r"(\d+(?:[.,]\d{3})*)(?:[.,](\d{1,2}))?(?!\d)", text):
        amount = Decimal(f"{re.sub(r'[.,]', '', whole)}.{cents or 0}")
        if 0 < amount < 1_000_000:
            return amount
    return None


def rows(claim: Claim) -> dict[str, str]:
    """Return the claim as rows for the approver."""
    return {
        "Amount": f"{claim.amount:.2f} €",
        "Cost centre": claim.cost_centre,
        "Paid with": next(option.label for option in PAID_WITH if option.value == claim.paid_with),
        "Papers": ", ".join(option.label for option in PAPERS if option.value in claim.papers),
        "Purpose": claim.purpose,
    }


def attached_names(context: Context) -> dict[str, str]:
    """Return the names of files attached to the message, if any."""
    names = ", ".join(file.name for file in context.files)
    return {"Attached": names} if names else {}


def table(claim: Claim) -> str:
    """Render the claim as a Markdown table."""
    lines = [f"| {name} | {value.replace('|', '/')} |" for name, value in rows(claim).items()]
    return "\n".join(["| | |", "| --- | --- |", *lines])
