"""Tests of handing a prompt on to a person found by name, with a note."""

import asyncio
import threading

import pytest

from sessions_app import runs, signals
from sessions_app.contrib.testing.polling import until_true
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import claims
from sessions_app.interactions.answerers import somebody_may_answer
from sessions_app.models import Conversation, Event, Interaction, PendingSignal
from sessions_app.models.people import Person, users
from sessions_app.storage import reads
from sessions_app.storage.sql import database
from sessions_app.storage.writer import writer
from sessions_app.workflows import group, user
from tests.runtime.assignment.asking import (
    asking_people,
    change,
    counts,
    entries,
    give,
    inbox_of,
    people,
)
from tests.support.hosting import django_user, make_members

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {
    "cara": "Cara Maria Stone",
    "carl": "Carl Stone",
    "dora": "Dora Dean",
    "ed": "Dora Dean",
    "guest-house": "The House",
}
GUEST = f"guest-{'0' * 40}"


def named_people() -> None:
    """Create people of these names, one of whom is deactivated."""
    people(*NAMES, "gone", GUEST)
    for username, name in {**NAMES, "gone": "Cara Gone"}.items():
        first, _, last = name.rpartition(" ")
        rows = users().filter(username=username)
        rows.update(first_name=first, last_name=last, is_active=username != "gone")


@pytest.mark.parametrize(
    ("query", "usernames"),
    [
        ("stone", ["cara", "carl"]),
        ("Car STO", ["cara", "carl"]),
        ("maria", ["cara"]),
        ("one", []),
        ("bo", []),  # "bo" is the asker himself
        ("ot", ["other"]),
        ("c", []),
        ("", ["other"]),  # everybody who may answer, if no name is given
        ("ca\0", []),
        ("c ca car cara m s", ["cara"]),
        ("c ca car cara m dean", ["cara"]),  # the search looks at the first five words only
        ("guest-", ["guest-house"]),
    ],
)
async def test_people_are_found_by_the_beginnings_of_their_names(
    query: str, usernames: list[str]
) -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, [boss, _] = scene
        await reads.read(named_people)
        delegates = await claims.find_people(str(prompt.pk), query, boss)
        assert [person.username for person in delegates] == usernames


async def test_nobody_is_found_for_a_prompt_that_another_has_claimed_or_that_is_settled() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, [boss, other] = scene
        await change("claim", prompt, other)
        assert await claims.find_people(str(prompt.pk), "other", boss) == []
        assert await claims.find_people(str(prompt.pk), "boss", other) == [boss]
        await give("yes", prompt, other)
        assert await claims.find_people(str(prompt.pk), "boss", other) == []


async def test_only_candidates_are_found_where_several_must_agree() -> None:
    to = group("managers")
    async with asking_people("boss", "cora", members="managers", to=to, votes=2) as scene:
        hosting, prompt, [boss, cora] = scene
        await reads.read(named_people)

        async def usernames() -> list[str]:
            finds = [
                await claims.find_people(str(prompt.pk), query, boss) for query in ("ca", "co")
            ]
            return [person.username for people_found in finds for person in people_found]

        assert await usernames() == ["cora"]
        with pytest.raises(Invalid, match="no user"):
            await change("delegate", prompt, boss, to="Carl Stone")
        await give("yes", prompt, cora)
        assert await usernames() == []  # people who have voted are not offered
        with pytest.raises(NotFound):
            await claims.find_people(str(prompt.pk), "bo", hosting.person)


async def test_who_is_handed_a_prompt_is_told_of_it_and_who_claims_it_is_not() -> None:
    def receive(**_: object) -> None:
        """Connect a receiver, because signals without a receiver are not stored."""

    signals.interaction_assigned.connect(receive)
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        hosting, prompt, [boss, _] = scene
        await change("claim", prompt, boss)
        assert not await reads.read(PendingSignal.objects.count)
        await change("delegate", prompt, boss, to="other")
        signal = await reads.read(PendingSignal.objects.get)
        assert (signal.name, signal.interaction_id) == ("interaction_assigned", prompt.pk)
        [*_, last] = await hosting.events()
        assert signal.about == {"sequence": last.sequence}


async def test_a_prompt_goes_to_the_one_person_of_a_name() -> None:
    async with asking_people("boss", members="managers", to=group("managers")) as scene:
        _, prompt, [boss] = scene
        await reads.read(named_people)
        for name in ("gone", "Cara Gone", "Car", "Stone", " ", GUEST):
            with pytest.raises(Invalid, match="There is no user"):
                await change("delegate", prompt, boss, to=name)
        with pytest.raises(Invalid, match=r"called “dora dean”.*: dora, ed$"):
            await change("delegate", prompt, boss, to="dora dean")
        assert (await change("delegate", prompt, boss, to="cara maria  stone")).assignee == "cara"


async def test_a_name_is_looked_up_while_the_writer_is_busy() -> None:
    async with asking_people("boss", members="managers", to=group("managers")) as scene:
        _, prompt, [boss] = scene
        is_free = threading.Event()
        try:
            for _ in range(database().WRITERS):
                writer.submit(lambda tx: is_free.wait(30))
            with pytest.raises(Invalid, match="no user"):
                await change("delegate", prompt, boss, to="u " * 75)
        finally:
            is_free.set()


async def test_a_person_searches_for_one_name_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    searching, may_end = list[str](), threading.Event()

    def search(prompt: object, query: str, by: object) -> list[Person]:
        searching.append(query)
        may_end.wait(30)
        return []

    monkeypatch.setattr(claims, "find_delegates", search)
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, [boss, other] = scene
        try:
            searches = [
                asyncio.create_task(claims.find_people(str(prompt.pk), query, by))
                for query, by in (("ca", boss), ("do", boss), ("ed", other))
            ]
            await until_true(lambda: {"ca", "ed"} <= {*searching})
            assert sorted(searching) == ["ca", "ed"]
        finally:
            may_end.set()
        await asyncio.gather(*searches)
        assert "do" in searching


async def test_who_was_deactivated_since_they_were_looked_up_gets_no_prompt() -> None:
    async with asking_people("boss", members="managers", to=group("managers")) as scene:
        _, prompt, [boss] = scene
        await reads.read(named_people)
        gone = Person.of(await users().aget(username="gone"))
        work = claims.build_change("delegate", str(prompt.pk), delegate=gone, by=boss, via="test")
        with pytest.raises(Invalid, match="There is no user “gone”"):
            await writer.write(work)


async def test_a_guest_hands_nothing_on_and_learns_no_name() -> None:
    async with asking_people("boss", GUEST, members="managers", to=group("managers")) as scene:
        _, prompt, [_, guest] = scene
        assert await claims.find_people(str(prompt.pk), "boss", guest) == []
        refusals = []
        for name in ("boss", "bosss", " "):
            with pytest.raises(Invalid) as refusal:
                await change("delegate", prompt, guest, to=name)
            refusals.append(str(refusal.value))
        assert {*refusals} == {
            "A guest cannot hand a question on. Answer it, or leave it to others."
        }


async def test_a_prompt_is_reassigned_to_no_guest_but_its_owner() -> None:
    async with asking_people("boss", GUEST, to=group("managers"), members="managers") as scene:
        _, prompt, [boss, guest] = scene
        with pytest.raises(Invalid, match="is a guest"):
            await runs.areassign(prompt.pk, to=[user(GUEST)], by=django_user(boss))
        await Conversation.objects.filter(pk=prompt.conversation_id).aupdate(owner=guest.id)
        await runs.areassign(prompt.pk, to=[user(GUEST)], by=django_user(boss))
        assert await reads.read(inbox_of, guest) == [prompt.pk]


async def test_the_note_of_who_handed_a_prompt_on_last_goes_with_it() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        hosting, prompt, [boss, other] = scene

        async def note() -> object:
            row = await Interaction.objects.aget(pk=prompt.pk)
            assert row.assignment
            return row.assignment["note"]

        with pytest.raises(Invalid, match="note must be"):
            await change("delegate", prompt, boss, to="other", note="x" * 10_001)
        await change("delegate", prompt, boss, to="other", note="I am away.")
        await change("release", prompt, other)
        assert await note() == {"by": "boss", "text": "I am away."}
        await change("delegate", prompt, other, to="boss")
        assert await note() is None
        to = [group("managers")]
        await runs.areassign(prompt.pk, to=to, note="Whoever can", by=django_user(other))
        assert await note() == {"by": "other", "text": "Whoever can"}
        rows = await reads.read(entries, prompt)
        notes = [row.detail["note"] for row in rows if "note" in row.detail]
        assert notes == ["I am away.", "Whoever can"]
        updates = [e for e in await hosting.events() if e.type == Event.Type.ASSIGNMENT_UPDATE]
        assert [e.payload["note"] for e in updates if "note" in e.payload] == notes


async def test_a_question_of_the_owner_alone_goes_to_a_group_that_has_the_owner() -> None:
    async with asking_people("boss", members="managers") as (hosting, prompt, [boss]):
        await reads.read(make_members, "managers", "ann")
        await runs.areassign(prompt.pk, to=[group("managers")], by=django_user(boss))
        for person in (boss, hosting.person):
            assert await reads.read(inbox_of, person) == [prompt.pk]
            assert await reads.read(counts, person) == [1]
        rows = await reads.read(lambda: list(Interaction.objects.filter(somebody_may_answer())))
        assert [row.pk for row in rows] == [prompt.pk]


async def test_circle_of_delegations_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MOST_CHANGES", 6)
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, pair = scene
        before = await Event.objects.acount()
        for turn in range(6):
            assert (
                await change("delegate", prompt, pair[turn % 2], to=pair[1 - turn % 2].username)
            ).changed
        refusal = "has changed hands 6 times. Answer it"
        with pytest.raises(Invalid, match=refusal):
            await change("delegate", prompt, pair[0], to="other")
        assert (await change("release", prompt, pair[0])).changed
        with pytest.raises(Invalid, match=refusal):
            await change("claim", prompt, pair[0])
        assert await Event.objects.acount() == before + 7
        assert (await give("yes", prompt, pair[0])).outcome == "accepted"
