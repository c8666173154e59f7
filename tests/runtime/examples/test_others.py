"""Tests of the examples `report` and `parallel_review`."""

import re
from decimal import Decimal

import pytest

from natproject.workflows.report import SavingsTerms, compute, read_terms
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from tests.support.hosting import SentTo


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("200 a month at 3.5 % for 20 years", SavingsTerms()),
        ("please", SavingsTerms()),
        ("50, 2", SavingsTerms(Decimal(50), Decimal(2), 20)),
        ("1 99 99", SavingsTerms(Decimal(1), Decimal(30), 40)),
    ],
)
def test_terms_are_read_and_bounded(text: str, terms: SavingsTerms) -> None:
    assert read_terms(text) == terms


def test_the_plan_adds_up() -> None:
    plan = compute(SavingsTerms())
    assert plan[-1].paid == 200 * 12 * 20
    assert sum(year.interest for year in plan) == plan[-1].balance - plan[-1].paid
    # Compare with the closed formula, which does not round to cents.
    rate = 0.035 / 12
    assert float(plan[-1].balance) == pytest.approx(200 * ((1 + rate) ** 240 - 1) / rate, abs=0.2)


class TestReport:
    async def test_the_report_streams_a_long_text_with_steps(self, sent_to: SentTo) -> None:
        async with sent_to("report", "200 at 3.5 % for 20 years", options={"pause": 0}) as (_, run):
            text = await run.result()
            assert 1200 < len(text.split()) < 2000
            assert len(re.findall(r"^#+ ", text, re.MULTILINE)) > 20
            for markdown in ("```python", "| ---: |", "- **Interest:**", "1. "):
                assert markdown in text
            assert await run.shown() == [
                "What I read",
                "Compute the plan",
                "Compare with 2.5 %",
                "Compare with 4.5 %",
            ]

    @pytest.mark.slow
    async def test_a_report_cut_by_a_crash_ends_the_same(self, host_workflow: NewHosting) -> None:
        async with host_workflow("report", options={"pause": 0}) as hosting:
            whole = await hosting.converse("10 at 1 for 40")
            hosting.offer(options={"pause": 0.001})
            await hosting.restart()
            run = await hosting.send("10 at 1 for 40")
            await run.until_said("Year by year")
            await hosting.crash()
            assert await run.result() == whole


class TestParallelReview:
    async def test_reviewers_are_asked_at_once_and_answer_in_any_order(
        self, sent_to: SentTo
    ) -> None:
        async with sent_to("parallel_review", "The list") as (_, run):
            for reviewer, verdict in [
                ("Editorial", "approve"), ("Security", "abstain"), ("Legal", "approve"),
            ]:  # fmt: skip
                await run.answer(verdict, to=reviewer)
            text = await run.result()
            assert "| Legal | approved | ann |\n| Security | abstained | ann |" in text
            assert text.endswith("**Approved.**")

    @pytest.mark.parametrize(
        ("answers", "expected_text"),
        [
            ({"verdict": "change", "Which changes": "shorter"}, "**To be changed:** shorter"),
            # One rejection is enough.
            ({"Security": "reject", "verdict": "approve"}, "**Rejected.**"),
        ],
    )
    async def test_one_rejection_or_change_request_decides_the_review(
        self, host_workflow: NewHosting, answers: dict[str, Answer], expected_text: str
    ) -> None:
        async with host_workflow("parallel_review") as hosting:
            assert expected_text in await hosting.converse("The list", answers)
