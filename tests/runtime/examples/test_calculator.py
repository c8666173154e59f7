"""Tests of the example `calculator`."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natproject.workflows.calculator import Attempt, evaluate, find_expression, plain
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from tests.support.hosting import SentTo

LONG = "1+2+3+4+5+6+7+8+9+10+11+12"


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2 * (3 + 4)", "14"),
        ("0.1 + 0.2", "0.3"),
        ("-2 ** 2", "-4"),
        ("2 ** 0.5", "1.414213562373095048801688724"),
        ("1 / 3", "0.3333333333333333333333333333"),
        ("100 * 100", "10000"),
        ("2 ** 200", "1.606938044258990275541962092E+60"),
    ],
)
def test_arithmetic_is_exact_to_28_digits(expression: str, result: str) -> None:
    value = evaluate(expression, 10).result
    assert value is not None
    assert plain(value) == result


@pytest.mark.parametrize(
    "expression",
    [
        "1 / 0",
        "0 / 0",
        "9 ** 9 ** 9",
        "1" * 400 + ".5",
        "2 +",
        "(" * 300 + "1",
        "9" * 501,
        "__import__('os')",
        "'a' * 3",
        "True + 1",
        "[1]",
        "x + 1",
        "1 < 2",
        "",
    ],
)
def test_an_expression_without_a_value_is_explained(expression: str) -> None:
    attempt = evaluate(expression, 10)
    assert attempt.result is None
    assert attempt.problem


@given(st.text(alphabet="0123456789.+-*/() ", max_size=60))
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(evaluate(text, 5), Attempt)


@given(st.integers(1, 20), st.integers(1, 20))
def test_the_limit_counts_operations(operations: int, limit: int) -> None:
    attempt = evaluate("+".join("1" * (operations + 1)), limit)
    assert attempt == (Attempt(Decimal(operations + 1)) if operations <= limit else Attempt())


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("What is 0.1 + 0.2?", "0.1 + 0.2"),
        ("6×7", "6*7"),
        ("2^8 please", "2**8"),
        ("hello", ""),
        ("well-known", ""),
    ],
)
def test_the_calculation_is_found_in_a_sentence(text: str, expression: str) -> None:
    assert find_expression(text) == expression


class TestConversation:
    @pytest.mark.parametrize(
        ("text", "answers", "expected_text"),
        [
            ("2 * (3 + 4)", {}, "`2 * (3 + 4)` = **14**"),
            (LONG, {"up to 16": "retry"}, f"`{LONG}` = **78**"),
            (LONG, {"Try": "stop"}, "more than 8 operations"),
        ],
    )
    async def test_the_calculator_asks_before_exceeding_its_limit(
        self, host_workflow: NewHosting, text: str, answers: dict[str, Answer], expected_text: str
    ) -> None:
        async with host_workflow("calculator") as hosting:
            assert expected_text in await hosting.converse(text, answers)

    async def test_after_the_last_retry_it_gives_up(self, sent_to: SentTo) -> None:
        options = {"max_operations": 1, "max_retries": 2}
        async with sent_to("calculator", LONG, options=options) as (_, run):
            await run.answer_all({"Try": "retry"})
            assert "more than 4 operations" in await run.result()
            assert len(await run.asked()) == 2
