"""Rates as such: what they let through, and what processes tell each other over Redis."""

import asyncio
import math
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from uuid import uuid4

import pytest
from pytest_django import Settings

from chat_app.rates import Rate, rate_limits
from chat_app.settings import ChatSettings
from sessions_app.errors import TooMany
from tests.support.hitl import set_hitl

RATE = Rate.MESSAGES_USER


@pytest.fixture(autouse=True)
def _three(settings: Settings) -> Iterator[None]:
    set_hitl(settings, RATE_MESSAGES_USER="3/hour")
    rate_limits.clear()
    yield
    rate_limits.clear()


@pytest.fixture
def subject() -> str:
    """Somebody of whom Redis has heard nothing."""
    return uuid4().hex


async def until_refused(subject: str) -> TooMany:
    async with asyncio.timeout(10):
        while True:
            try:
                rate_limits.reserve((RATE, subject)).refund()
            except TooMany as error:
                return error
            await asyncio.sleep(0.01)


@pytest.fixture
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep buckets from filling while a test runs."""
    module = import_module("chat_app.rates.rate_limits")
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1000.0))


@pytest.mark.usefixtures("_standing_clock")
@pytest.mark.parametrize("amount", [1, 3, 7, 300])
def test_a_rate_allows_a_burst_and_then_one_by_one(
    settings: Settings, subject: str, amount: int
) -> None:
    set_hitl(settings, RATE_MESSAGES_USER=f"{amount}/hour")
    for _ in range(amount):
        rate_limits.take((RATE, subject))
    with pytest.raises(TooMany) as error_info:
        rate_limits.take((RATE, subject))
    assert error_info.value.seconds == math.ceil(3600 / amount)
    when = {1: "60 minutes", 3: "20 minutes", 7: "9 minutes", 300: "12 s"}[amount]
    assert str(error_info.value) == f"Too many messages. Try again in {when}."
    rate_limits.take((RATE, uuid4().hex))


def test_a_refusal_by_one_limit_counts_for_no_other(settings: Settings, subject: str) -> None:
    set_hitl(settings, RATE_MESSAGES_ADDRESS="4/hour")
    of = (Rate.MESSAGES_ADDRESS, "10.0.0.1"), (Rate.MESSAGES_USER, subject)
    for _ in range(3):
        rate_limits.take(*of)
    for _ in range(3):
        with pytest.raises(TooMany):
            rate_limits.take(*of)
    rate_limits.take((Rate.MESSAGES_ADDRESS, "10.0.0.1"))


@pytest.mark.formless
@pytest.mark.usefixtures("_standing_clock")
def test_an_amount_counts_as_so_many(subject: str) -> None:
    rate_limits.take((RATE, subject), amount=2)
    with pytest.raises(TooMany) as error_info:
        rate_limits.take((RATE, subject), amount=2)
    assert error_info.value.seconds == 1200
    rate_limits.take((RATE, subject))
    with pytest.raises(TooMany) as error_info:  # more than a whole rate takes all of it
        rate_limits.take((RATE, subject), amount=100)
    assert error_info.value.seconds == 3600


@pytest.mark.formless
def test_who_is_limited_is_not_forgotten_for_the_many_others(
    monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    monkeypatch.setattr(rate_limits, "_max_buckets", 3)
    for _ in range(3):
        rate_limits.take((RATE, subject))
    for _ in range(3):
        rate_limits.take((RATE, uuid4().hex))
    with pytest.raises(TooMany):
        rate_limits.take((RATE, subject))


@pytest.mark.formless
def test_nobody_and_none_are_not_limited(settings: Settings, subject: str) -> None:
    for _ in range(10):
        rate_limits.take((RATE, ""))
    set_hitl(settings, RATE_MESSAGES_USER="none")
    for _ in range(10):
        rate_limits.take((RATE, subject))


@pytest.mark.formless
def test_each_rate_has_a_setting_and_a_noun() -> None:
    rates = {name for name in ChatSettings.model_fields if name.startswith("RATE_")}
    assert rates == set(Rate)
    assert all(rate.counted_things for rate in Rate)


@pytest.mark.cluster_only("one process has nobody to tell")
async def test_requests_to_other_processes_count(subject: str) -> None:
    for _ in range(3):
        rate_limits.take((RATE, subject))
    rate_limits.clear()  # as another process, which knows nothing of it
    rate_limits.take((RATE, subject))
    error = await until_refused(subject)
    assert 1 <= error.seconds <= 3600


@pytest.mark.formless
async def test_without_redis_each_process_counts_alone(settings: Settings, subject: str) -> None:
    set_hitl(settings, REDIS_URL="redis://127.0.0.1:1/0")
    for _ in range(3):
        rate_limits.take((RATE, subject))
    with pytest.raises(TooMany):
        rate_limits.take((RATE, subject))
