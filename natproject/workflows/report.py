"""A savings plan as a long, streamed report.

Shows streaming with intermediate steps: the figures are computed in recorded steps, and the text is
yielded in small pieces. If the server dies in the middle, no step is repeated, and only the text
after the last step is written anew.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import astuple, dataclass
from decimal import Decimal

from pydantic import BaseModel, Field

from sessions_app.workflows import Context, Message, workflow

CENT = Decimal("0.01")
CODE = '''
def grow(balance, deposit, monthly_rate):
    """One month: the interest on what is there, then the deposit."""
    return balance + balance * monthly_rate + deposit
'''


class ReportOptions(BaseModel, extra="forbid"):
    """The options of the report in `workflows.yaml`."""

    pause: float = Field(0.01, ge=0, description="seconds between two pieces of text")


@dataclass(frozen=True)
class SavingsTerms:
    """The terms that the person asked for: euro a month, percent a year, years."""

    deposit: Decimal = Decimal(200)
    rate: Decimal = Decimal("3.5")
    years: int = 20


@dataclass(frozen=True)
class Year:
    """A year of the plan, in euro; `balance` and `paid` at its end."""

    number: int
    interest: Decimal
    balance: Decimal
    paid: Decimal


@workflow(
    name="report",
    title="Savings report",
    description="Writes a savings report from a monthly amount, rate and term.",
    icon="report",
    starters=("200 a month at 3.5 % for 20 years", "50 a month, 2 %, 10 years"),
    options=ReportOptions,
)
async def report(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Compute the plan, then write about it."""
    terms = read_terms(message.text)
    # `show` suffices, because the work is already done: no step is needed.
    context.show("What I read", f"{terms.deposit} € a month, {terms.rate} %, {terms.years} years")

    plan = await context.step(compute, terms, title="Compute the plan")
    async for piece in pace(opening(terms, plan), context.options.pause):
        yield piece

    lower = SavingsTerms(terms.deposit, max(terms.rate - 1, Decimal()), terms.years)
    higher = SavingsTerms(terms.deposit, terms.rate + 1, terms.years)
    comparisons = [
        (
            other_terms,
            await context.step(compute, other_terms, title=f"Compare with {other_terms.rate} %"),
        )
        for other_terms in (lower, higher)
    ]
    async for piece in pace(closing(terms, plan, comparisons), context.options.pause):
        yield piece


async def pace(text: Iterator[str], pause: float) -> AsyncGenerator[str, None]:
    """Yield the text a few words at a time, as a model would write it."""
    for part in text:
        for piece in re.findall(r"\s+|(?:\S+\s*){1,4}", part):
            yield piece
            # `context.sleep` is not needed, because a pause this short need not survive a restart.
            await asyncio.sleep(pause)


def read_terms(text: str) -> SavingsTerms:
    """Read up to three numbers: deposit, rate, years; a missing number gets its default."""
    numbers = [Decimal(number) for number in re.findall(r"\d{1,7}(?:\.\d{1,4})?", text)][:3]
    usual = [Decimal(value) for value in astuple(SavingsTerms())]
    deposit, rate, years = [*numbers, *usual[len(numbers) :]]
    return SavingsTerms(deposit, min(rate, Decimal(30)), max(1, min(int(years), 40)))


def compute(terms: SavingsTerms) -> list[Year]:
    """Compute the plan year by year: interest each month, rounded to cents at the end of a year."""
    monthly = terms.rate / 100 / 12
    balance = paid = Decimal()
    plan = []
    for number in range(1, terms.years + 1):
        before = balance + 12 * terms.deposit
        for _ in range(12):
            balance += balance * monthly + terms.deposit
        balance, paid = balance.quantize(CENT), paid + 12 * terms.deposit
        plan.append(Year(number, (balance - before).quantize(CENT), balance, paid))
    return plan


def opening(terms: SavingsTerms, plan: list[Year]) -> Iterator[str]:
    """Write the summary, the method and the table."""
    last = plan[-1]
    yield f"# {terms.deposit} € a month for {terms.years} years\n\n"
    yield (
        f"At {terms.rate} % a year you will have **{last.balance:,} €**. You pay {last.paid:,} € "
        f"of it yourself; {last.balance - last.paid:,} € are interest.\n\n"
    )
    yield (
        "## How it is computed\n\n"
        "1. Interest is added each month, a twelfth of the yearly rate.\n"
        "2. The deposit follows at the end of the month.\n"
        "3. At the end of a year the balance is rounded to cents.\n\n"
        f"```python{CODE}```\n\n"
        "Taxes, fees and inflation are left out.\n\n"
        "## Year by year\n\n"
        "| Year | Paid in | Interest of the year | Balance |\n| ---: | ---: | ---: | ---: |\n"
    )
    for year in plan:
        yield f"| {year.number} | {year.paid:,} | {year.interest:,} | {year.balance:,} |\n"
    yield "\n"


def closing(
    terms: SavingsTerms, plan: list[Year], comparisons: list[tuple[SavingsTerms, list[Year]]]
) -> Iterator[str]:
    """Write comments on each year, and on the effect of other rates."""
    yield "## What the years mean\n\n"
    for before, year in zip([None, *plan], plan, strict=False):
        yield from _comment(terms, before, year)
    yield "## If the rate were another\n\n| Rate | Balance at the end | Difference |\n"
    yield "| ---: | ---: | ---: |\n"
    for other_terms, other_plan in comparisons:
        difference = other_plan[-1].balance - plan[-1].balance
        yield f"| {other_terms.rate} % | {other_plan[-1].balance:,} | {difference:+,} |\n"
    yield "\n## In short\n\n"
    yield f"- **Paid in:** {plan[-1].paid:,} €\n"
    yield f"- **Interest:** {plan[-1].balance - plan[-1].paid:,} €\n"
    yield f"- **At the end:** {plan[-1].balance:,} €\n"


def _comment(terms: SavingsTerms, before: Year | None, year: Year) -> Iterator[str]:
    yield f"### Year {year.number}\n\n"
    yearly = 12 * terms.deposit
    share = 100 * (year.balance - year.paid) / year.balance if year.balance else Decimal()
    yield (
        f"You pay in {yearly:,} €, which makes {year.paid:,} € so far. The year earns "
        f"{year.interest:,} € of interest, {year.interest / 12:,.2f} € in an average month. With "
        f"it the balance comes to {year.balance:,} €; {share:.1f} % of that is interest. "
    )
    if before is not None and before.interest:
        yield f"That is {year.interest - before.interest:,} € more interest than the year before. "
    if before is not None and before.interest < yearly <= year.interest:
        yield "**From now on the interest of a year is more than what you pay in.** "
    yield "\n\n"
