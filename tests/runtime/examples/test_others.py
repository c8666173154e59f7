"""The examples `report`, `parallel_review` and `probe`."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from bench.workflows import probe
from natproject.workflows.report import Terms, compute, read_terms
from tests.support.hosting import Hosting, output, until
from tests.support.scripted_conversation import converse

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


@pytest.mark.django_db(transaction=True)
class TestReport:
    async def test_it_streams_a_long_text_with_steps(self) -> None:
        async with Hosting("report", options={"pause": 0}) as hosting:
            text = await converse(hosting, "200 at 3.5 % for 20 years")
            assert 1200 < len(text.split()) < 2000
            assert len(re.findall(r"^#+ ", text, re.MULTILINE)) > 20
            for markdown in ("```python", "| ---: |", "- **Interest:**", "1. "):
                assert markdown in text
            events = await hosting.events()
            steps = [event.payload for event in events if event.type == "step"]
            assert [step["name"] for step in steps if step["state"] == "complete"] == [
                "What I read",
                "Compute the plan",
                "Compare with 2.5 %",
                "Compare with 4.5 %",
            ]

    async def test_cut_in_the_middle_it_goes_on_with_the_same_text(self) -> None:
        async with Hosting("report", options={"pause": 0}) as hosting:
            whole = await converse(hosting, "10 at 1 for 40")
            hosting.offer(options={"pause": 0.001})
            await hosting.restart()
            run = await hosting.submit("10 at 1 for 40")
            await until(lambda: len(output(run)) > 1000)
            await hosting.restart()
            await hosting.ended(run)
            assert await hosting.output(run) == whole


@pytest.mark.django_db(transaction=True)
class TestParallelReview:
    async def test_all_are_asked_at_once_and_answered_in_any_order(self) -> None:
        async with Hosting("parallel_review", park_after=0) as hosting:
            run = await hosting.submit("The list")
            prompts = await hosting.prompts(run, 3)
            for prompt, verdict in zip(
                reversed(prompts), ["approve", "abstain", "approve"], strict=True
            ):
                await hosting.answer(verdict, prompt)
            await hosting.ended(run)
            text = await hosting.output(run)
            assert "| Legal | approved | ann |\n| Security | abstained | ann |" in text
            assert text.endswith("**Approved.**")

    async def test_changes_are_asked_for(self) -> None:
        async with Hosting("parallel_review") as hosting:
            answers = {"verdict": "change", "Which changes": "shorter"}
            text = await converse(hosting, "The list", answers)
            assert text.endswith("**To be changed:** shorter")

    async def test_one_rejection_is_enough(self) -> None:
        async with Hosting("parallel_review") as hosting:
            answers = {"Security": "reject", "verdict": "approve"}
            text = await converse(hosting, "The list", answers)
            assert "**Rejected.**" in text


@pytest.mark.django_db(transaction=True)
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
    async def test_each_word(self, text: str, output: str) -> None:
        answer = "continue" if text.startswith("approve") else "yes"
        async with Hosting("probe") as hosting:
            assert await converse(hosting, text, {"prompt-": answer}) == output

    async def test_steps_leave_a_line_each(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = tmp_path / "log"
        monkeypatch.setenv("PROBE_LOG", str(log))
        async with Hosting("probe") as hosting:
            run = await hosting.submit("step 2")
            await hosting.ended(run)
        assert log.read_text() == f"{run} 1\n{run} 2\n"

    async def test_an_unknown_word_is_told_the_known_ones(self) -> None:
        async with Hosting("probe") as hosting:
            said = await converse(hosting, "what")
            assert {"echo", "ask", "approve", "step"} <= set(re.findall(r"\w+", said))
