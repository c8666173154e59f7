"""The examples `report`, `parallel_review` and `probe`."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from bench.workflows import probe
from natproject.workflows.report import Terms, compute, read_terms
from sessions_app.testing.hosting import NewHosting

assert probe  # importing it declares it


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("200 a month at 3.5 % for 20 years", Terms()),
        ("please", Terms()),
        ("50, 2", Terms(Decimal(50), Decimal(2), 20)),
        ("1 99 99", Terms(Decimal(1), Decimal(30), 40)),
    ],
)
def test_terms_are_read_and_bounded(text: str, terms: Terms) -> None:
    assert read_terms(text) == terms


def test_the_plan_adds_up() -> None:
    plan = compute(Terms())
    assert plan[-1].paid == 200 * 12 * 20
    assert sum(year.interest for year in plan) == plan[-1].balance - plan[-1].paid
    # The closed formula, without the rounding to cents.
    rate = 0.035 / 12
    assert float(plan[-1].balance) == pytest.approx(200 * ((1 + rate) ** 240 - 1) / rate, abs=0.2)


class TestReport:
    async def test_it_streams_a_long_text_with_steps(self, host_workflow: NewHosting) -> None:
        async with host_workflow("report", options={"pause": 0}) as hosting:
            run = await hosting.send("200 at 3.5 % for 20 years")
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

    @pytest.mark.long
    async def test_cut_in_the_middle_it_goes_on_the_same(self, host_workflow: NewHosting) -> None:
        async with host_workflow("report", options={"pause": 0}) as hosting:
            whole = await hosting.converse("10 at 1 for 40")
            hosting.offer(options={"pause": 0.001})
            await hosting.restart()
            run = await hosting.send("10 at 1 for 40")
            await run.until_said("Year by year")
            await hosting.crash()
            assert await run.result() == whole


class TestParallelReview:
    async def test_all_are_asked_and_answered_in_any_order(self, host_workflow: NewHosting) -> None:
        async with host_workflow("parallel_review") as hosting:
            run = await hosting.send("The list")
            for reviewer, verdict in [
                ("Editorial", "approve"), ("Security", "abstain"), ("Legal", "approve"),
            ]:  # fmt: skip
                await run.answer(verdict, to=reviewer)
            text = await run.result()
            assert "| Legal | approved | ann |\n| Security | abstained | ann |" in text
            assert text.endswith("**Approved.**")

    async def test_changes_are_asked_for(self, host_workflow: NewHosting) -> None:
        async with host_workflow("parallel_review") as hosting:
            answers = {"verdict": "change", "Which changes": "shorter"}
            text = await hosting.converse("The list", answers)
            assert text.endswith("**To be changed:** shorter")

    async def test_one_rejection_is_enough(self, host_workflow: NewHosting) -> None:
        async with host_workflow("parallel_review") as hosting:
            answers = {"Security": "reject", "verdict": "approve"}
            text = await hosting.converse("The list", answers)
            assert "**Rejected.**" in text


class TestProbe:
    @pytest.mark.parametrize(
        ("text", "output"),
        [
            ("echo a b", "a b"),
            ("stream 3", "t0 t1 t2 "),
            ("slowstream 2 1", "t0 t1 "),
            ("ask", "yes"),
            ("slowask 1", "yes"),
            ("approve 3", "continue|continue|continue"),
            ("step 2", "s1 s2 "),
        ],
    )
    async def test_each_word(self, host_workflow: NewHosting, text: str, output: str) -> None:
        answer = "continue" if text.startswith("approve") else "yes"
        async with host_workflow("probe") as hosting:
            assert await hosting.converse(text, {"prompt-": answer}) == output

    async def test_steps_leave_a_line_each(
        self, host_workflow: NewHosting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = tmp_path / "log"
        monkeypatch.setenv("PROBE_LOG", str(log))
        async with host_workflow("probe") as hosting:
            run = await hosting.send("step 2")
            await run.result()
        assert log.read_text() == f"{run.id} 1\n{run.id} 2\n"

    async def test_an_unknown_word_is_told_the_known_ones(self, host_workflow: NewHosting) -> None:
        async with host_workflow("probe") as hosting:
            said = await hosting.converse("what")
            assert {"echo", "ask", "approve", "step"} <= set(re.findall(r"\w+", said))
