"""Tests of handing a prompt on: to a person found by name, with a note."""

import pytest

from sessions_app.admin import repairs
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import claims
from sessions_app.interactions.answerers import somebody_may_answer
from sessions_app.models import Event, Interaction
from sessions_app.models.people import users
from sessions_app.storage import reads
from sessions_app.workflows import group
from tests.runtime.assignment.asking import (
    asking_people,
    change,
    counts,
    entries,
    give,
    inbox_of,
    people,
)
from tests.support.hosting import make_members

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {"cara": "Cara Maria Stone", "carl": "Carl Stone", "dora": "Dora Dean", "ed": "Dora Dean"}


def named_people() -> None:
    """Add people of these names, one of whom is deactivated."""
    people(*NAMES, "gone")
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
        ("bo", []),  # who asks
        ("ot", ["other"]),
        ("c", []),
        ("ca\0", []),
    ],
)
async def test_people_are_found_by_the_beginnings_of_their_names(
    query: str, usernames: list[str]
) -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, [boss, _] = scene
        await reads.read(named_people)
        delegates = await reads.read(claims.find_people, str(prompt.pk), query, boss)
        assert [person.username for person in delegates] == usernames


async def test_only_candidates_are_found_where_several_must_agree() -> None:
    to = group("managers")
    async with asking_people("boss", "cora", members="managers", to=to, votes=2) as scene:
        hosting, prompt, [boss, cora] = scene
        await reads.read(named_people)

        def usernames() -> list[str]:
            finds = [claims.find_people(str(prompt.pk), query, boss) for query in ("ca", "co")]
            return [person.username for people_found in finds for person in people_found]

        assert await reads.read(usernames) == ["cora"]
        with pytest.raises(Invalid, match="no user"):
            await change("delegate", prompt, boss, to="Carl Stone")
        await give("yes", prompt, cora)
        assert await reads.read(usernames) == []  # who has voted
        with pytest.raises(NotFound):
            await reads.read(claims.find_people, str(prompt.pk), "bo", hosting.person)


async def test_a_prompt_goes_to_the_one_person_of_a_name() -> None:
    async with asking_people("boss", members="managers", to=group("managers")) as scene:
        _, prompt, [boss] = scene
        await reads.read(named_people)
        for name in ("Cara Gone", "Car", "Stone", " "):
            with pytest.raises(Invalid, match="There is no user"):
                await change("delegate", prompt, boss, to=name)
        with pytest.raises(Invalid, match=r"called “dora dean”.*: dora, ed$"):
            await change("delegate", prompt, boss, to="dora dean")
        assert (await change("delegate", prompt, boss, to="cara maria  stone")).assignee == "cara"


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
        await hosting.in_thread(repairs.reassign, prompt.pk, to=to, note="Whoever can", by=other)
        assert await note() == {"by": "other", "text": "Whoever can"}
        rows = await reads.read(entries, prompt)
        notes = [row.detail["note"] for row in rows if "note" in row.detail]
        assert notes == ["I am away.", "Whoever can"]
        updates = [e for e in await hosting.events() if e.type == Event.Type.ASSIGNMENT_UPDATE]
        assert [e.payload["note"] for e in updates if "note" in e.payload] == notes


async def test_a_question_of_the_owner_alone_goes_to_a_group_that_has_the_owner() -> None:
    async with asking_people("boss", members="managers") as (hosting, prompt, [boss]):
        await reads.read(make_members, "managers", "ann")
        await hosting.in_thread(repairs.reassign, prompt.pk, to=[group("managers")], by=boss)
        for person in (boss, hosting.person):
            assert await reads.read(inbox_of, person) == [prompt.pk]
            assert await reads.read(counts, person) == [1]
        rows = await reads.read(lambda: list(Interaction.objects.filter(somebody_may_answer())))
        assert [row.pk for row in rows] == [prompt.pk]
