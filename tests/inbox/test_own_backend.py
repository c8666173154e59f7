"""Tests of a project's own authentication backend, and of inactive people, at all doors."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.test import Client

from chat_app.inbox.pending_counts import count_waiting
from chat_app.socket import authentication
from sessions_app import runs
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import claims
from sessions_app.interactions.answerers import PromptAudience, answerers
from sessions_app.interactions.votes import counting_votes
from sessions_app.models import Interaction
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.workflows import permission
from tests.runtime.assignment.asking import asking_people, asks, give, give_over_claims
from tests.support.hosting import Hosting, make_user
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "Give ann 3 days off?"


class ByName(BaseBackend):
    """Grants a permission to users by their names: no row says so."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Return whether they are called so."""
        return perm == "leave.approve" and user_obj.get_username().startswith("chief")


class Listing(ByName):
    """Knows whom it grants the permission."""

    def with_perm(self, perm: str, **_: Any) -> QuerySet[User]:
        """Return them."""
        return User.objects.filter(username__startswith="chief" if perm == "leave.approve" else "?")


def use(settings: Any, backend: type[BaseBackend]) -> None:
    own = f"{__name__}.{backend.__name__}"
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, own]


def person(name: str, *, active: bool = True) -> User:
    user: User = make_user(name)
    user.email, user.is_active = f"{name}@example.org", active
    user.save()
    return user


def pages(user: User) -> set[str]:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return {path for path in ("/inbox/", "/v1/inbox") if QUESTION in client.get(path).text}


async def socket_count(user: User) -> int:
    async with LocalSocket(user, waiting="inbox") as socket:
        return int((await socket.until("waiting_message"))["waiting"])


async def doors(user: User, prompt: Interaction) -> dict[str, bool]:
    """Return which doors let the user answer; the last one votes."""
    by = Person.of(user)
    shown_on = await asyncio.to_thread(pages, user)
    count = await reads.read(lambda: count_waiting([user.pk])[user.pk].prompts)

    async def changes(work: Any) -> bool:
        try:
            return bool((await work).changed)
        except NotFound:
            return False

    async def voted() -> bool:
        try:
            return bool((await runs.aanswer(prompt.pk, "yes", by=user)).outcome == "voted")
        except Invalid:
            return False

    is_open = {
        "page": "/inbox/" in shown_on,
        "api": "/v1/inbox" in shown_on,
        "count": count == 1,
        "claim": await changes(claims.change("claim", str(prompt.pk), by=by, via="test")),
        "release": await changes(runs.arelease(prompt.pk, by=user)),
        "python": await changes(runs.aclaim(prompt.pk, by=user)),
        "vote": await voted(),
    }
    rows = Interaction.objects.select_related("conversation__owner")
    votes = await reads.read(lambda: counting_votes([rows.get(pk=prompt.pk)]))
    return {**is_open, "counts": user.pk in [one.by_id for one in votes.get(prompt.pk, [])]}


@pytest.mark.parametrize("backend", [ByName, Listing])
async def test_only_active_users_that_the_backend_permits_are_answerers(
    settings: Any, backend: type[BaseBackend]
) -> None:
    use(settings, backend)
    to = permission("leave.approve")
    async with asking_people("chief", "chief2", "other", to=to) as (
        _,
        prompt,
        [chief, former_user, _],
    ):
        for deactivated, answerer_ids in ((former_user, {chief.id}), (chief, set())):
            await User.objects.filter(pk=deactivated.id).aupdate(is_active=False)
            rows = Interaction.objects.select_related("conversation__owner")
            audience = PromptAudience.of(await rows.aget(pk=prompt.pk))
            assert await reads.read(answerers, audience) == answerer_ids


@pytest.mark.slow
async def test_each_door_opens_to_whom_the_backend_permits_and_who_is_active(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    use(settings, ByName)
    monkeypatch.setattr(authentication, "AUTHENTICATION_TIMEOUT", 0.1)
    asks(to=permission("leave.approve"), votes=3)
    async with Hosting("t_assigned") as hosting:
        chief = await reads.read(person, "chief")
        former_user = await reads.read(lambda: person("chief2", active=False))
        other = await reads.read(person, "other")
        _, prompt = await hosting.submit_until_prompt()
        assert (await socket_count(chief), await socket_count(other)) == (
            1,
            0,
        )
        async with LocalSocket(former_user, waiting="inbox") as socket:
            assert await socket.until_closed()
        for user, is_open in ((chief, True), (former_user, False)):
            is_open_by_door = await doors(user, prompt)
            assert set(is_open_by_door.values()) == {is_open}, is_open_by_door
        is_open_by_door = await doors(other, prompt)
        # Who has a program's word for it may vote for whoever they say, and it counts.
        assert {name for name, is_open in is_open_by_door.items() if is_open} == {"vote", "counts"}
        assert (await give("yes", prompt, Person.of(other))).outcome == "not_found"

        await User.objects.filter(pk=chief.pk).aupdate(is_active=False)
        with pytest.raises(Invalid, match="not active"):
            await give_over_claims("yes", prompt, Person.of(chief))
        votes = await reads.read(lambda: counting_votes([Interaction.objects.get(pk=prompt.pk)]))
        assert [one.by_id for one in votes[prompt.pk]] == [other.pk]
