"""Tests of how often identities are looked at again, and whose: with a clock that is set."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from chat_app.identity import Identity, identities
from sessions_app.models.people import Person

pytestmark = pytest.mark.formless


class World:
    """The time, who is signed in, and whom each look was for."""

    def __init__(self, people: int) -> None:
        self.now = 100.0
        self.identities = [Identity(Person(number, str(number))) for number in range(people)]
        self.signed_in = set(self.identities)
        self.looked: list[set[Identity]] = []
        self.failing = False

    def still_valid(self, identities: Collection[Identity]) -> set[Identity]:
        """Return the identities that the database still knows."""
        self.looked.append(set(identities))
        if self.failing:
            raise OperationalError("gone")
        return self.signed_in & set(identities)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(20)
    monkeypatch.setattr(identities, "still_valid", world.still_valid)
    monkeypatch.setattr(identities, "time", SimpleNamespace(monotonic=lambda: world.now))
    return world


async def test_checks_of_many_identities_are_batched(world: World) -> None:
    shared = identities.IdentityChecks()
    for identity in world.identities:
        assert await shared.held_at(identity) == world.now
    assert world.looked == [{identity} for identity in world.identities]  # nobody twice
    world.looked.clear()
    for _ in range(10):
        world.now += identities.GOOD_FOR
        for identity in world.identities:
            assert await shared.held_at(identity) == world.now
    assert world.looked == [set(world.identities)] * 10


async def test_a_checked_identity_is_trusted_for_a_second(world: World) -> None:
    shared = identities.IdentityChecks()
    one, other = world.identities[:2]
    for identity in (one, other):
        await shared.held_at(identity)
    world.signed_in.clear()
    world.now += identities.GOOD_FOR - 0.01
    assert await shared.held_at(one) == 100.0
    world.now += 0.01
    assert await shared.held_at(one) is None
    assert await shared.held_at(other) is None
    assert len(world.looked) == 3


async def test_identities_no_longer_in_use_are_not_checked(world: World) -> None:
    shared = identities.IdentityChecks()
    one, other = world.identities[:2]
    await shared.held_at(other)
    for _ in range(5):
        await shared.held_at(one)
        world.now += identities.GOOD_FOR
    assert world.looked[-1] == {one}


async def test_a_failed_check_of_an_identity_is_not_cached(world: World) -> None:
    shared = identities.IdentityChecks()
    [one] = world.identities[:1]
    world.failing = True
    with pytest.raises(OperationalError):
        await shared.held_at(one)
    world.failing = False
    assert await shared.held_at(one) == world.now


async def test_a_cancelled_check_still_serves_other_waiters(world: World) -> None:
    shared = identities.IdentityChecks()
    [one] = world.identities[:1]
    first = asyncio.create_task(shared.held_at(one))
    await asyncio.sleep(0)
    second = asyncio.create_task(shared.held_at(one))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == world.now
    assert len(world.looked) == 1
