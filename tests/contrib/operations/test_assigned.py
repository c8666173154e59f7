"""Tests of what operators see of assigned prompts, and do to them."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from django.utils.html import strip_tags

from sessions_app import runs
from sessions_app.models import AuditEntry, Candidate, Conversation, Interaction
from sessions_app.models.people import users
from sessions_app.storage import reads
from sessions_app.workflows import Escalation, group, user
from tests.contrib.operations.administrator import Operator, answer_page, history, host_and_operate
from tests.runtime.assignment.asking import asks, change, give, people
from tests.support.hosting import Hosting, django_user

pytestmark = pytest.mark.django_db(transaction=True)

PROMPTS = "/admin/sessions_app/interaction/"
REASSIGN = {"action": "reassign", "index": 0, "apply": 1}


async def candidate_names(hosting: Hosting) -> list[str]:
    """Return who the candidates are."""

    def names() -> list[str]:
        rows = Candidate.objects.select_related("user", "group").order_by("pk")
        return [str(row) for row in rows]

    return await hosting.in_thread(names)  # type: ignore[no-any-return] # of a function


async def sentences(boss: Operator, path: str, *, column: int) -> list[str]:
    """Return what a column of the tables on a page says."""
    rows = re.findall(r"<tr>(.*?)</tr>", await boss.get(path), re.DOTALL)
    cells = [re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.DOTALL) for row in rows]
    return [strip_tags(row[column - 1]).strip() for row in cells if "<time" in "".join(row)]


async def test_the_audit_is_read_in_sentences() -> None:
    asks(to=group("managers"), votes=2)
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        [ben, dora] = await reads.read(people, "ben", "dora", to="managers")
        named_ben = {"first_name": "Ben", "last_name": "<b>"}
        await reads.read(lambda: users().filter(username="ben").update(**named_ben))
        [prompt] = await hosting.prompts(await hosting.submit())
        for action in ("claim", "release"):
            await change(action, prompt, ben)
        await change("delegate", prompt, ben, to="dora", note="You know her.")
        await give("no", prompt, dora)
        to = [group("managers"), user("ben")]
        await runs.areassign(prompt.pk, to=to, by=django_user(dora), via="admin")
        await give("yes", prompt, ben)
        await boss.post(f"{PROMPTS}{prompt.pk}/answer/", {"answer": "yes"})
        question, list_page = "Give ann 3 days off?", "/admin/sessions_app/auditentry/?o=1"
        both = "managers, Ben &lt;b&gt;"
        expected_sentences = [
            f"{question} was asked of managers",
            f"Ben &lt;b&gt; (ben) claimed {question}",
            f"Ben &lt;b&gt; (ben) released {question}",
            f"Ben &lt;b&gt; (ben) handed {question} on to dora: You know her.",
            f"dora voted no on {question}, on behalf of managers",
            f"dora reassigned {question} to {both}, from the admin",
            f"Ben &lt;b&gt; (ben) voted yes on {question}",
            f"boss answered {question} with yes, on behalf of {both}, from the admin",
        ]
        assert await sentences(boss, list_page, column=3) == expected_sentences
        entry = await reads.read(lambda: AuditEntry.objects.get(action="answered"))
        page = await boss.get(f"/admin/sessions_app/auditentry/{entry.pk}/change/")
        assert "<h1>boss answered “Give ann 3 days off?” with “yes”" in page
        assert f"{PROMPTS}{prompt.pk}/change/" in page
        for field in ("By name", "Interaction", "Detail"):
            assert f"<dt>{field}</dt>" in page
        await reads.read(Conversation.objects.all().delete)
        assert (await sentences(boss, list_page, column=3))[-1] == expected_sentences[-1]


@pytest.mark.slow
async def test_prompts_are_reassigned_several_at_once() -> None:
    asks(to=group("managers"), four_eyes=True)
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        await reads.read(people, "old", to="managers")
        [dora] = await reads.read(people, "dora", to="directors")
        [first] = await hosting.prompts(await hosting.submit(conversation="c1"))
        asks()
        [second] = await hosting.prompts(await hosting.submit(conversation="c2"))
        both = [str(first.pk), str(second.pk)]
        form_page = await boss.act("interaction", "reassign", *both)
        assert "Give ann 3 days off?" in form_page
        fields = {**REASSIGN, "_selected_action": both}
        assert "Name somebody." in await boss.post(PROMPTS, fields)
        none = await boss.post(PROMPTS, {**fields, "users": "nobody"})
        assert "user &#x27;nobody&#x27; does not exist." in none
        assert "Null characters" in await boss.post(PROMPTS, {**fields, "users": "a\0"})
        directors = await reads.read(lambda: Group.objects.get(name="directors").pk)
        chosen = {"groups": [directors], "note": "On leave"}
        response_text = await boss.post(PROMPTS, {**fields, **chosen})
        assert response_text.count(": reassigned.") == 2
        details = AuditEntry.objects.filter(action="reassigned").values_list("detail", flat=True)
        assert [one["note"] for one in await reads.read(list, details)] == ["On leave"] * 2
        assert await candidate_names(hosting) == ["directors", "directors"]
        # The second was its owner's own, and waits for them no longer.
        waiting = await reads.read(
            lambda: list(Conversation.objects.values_list("waiting", flat=True))
        )
        assert waiting == [0, 0]
        assert (await give("yes", second, hosting.person)).outcome == "not_found"
        for prompt in (first, second):
            assert (await give("yes", prompt, dora)).outcome == "accepted"
        assert "It is settled already" in await boss.post(PROMPTS, {**fields, "users": "dora"})
        assert await history() == ["boss: reassigned by an operator"] * 2


async def test_a_refused_reassignment_says_why_and_keeps_the_note() -> None:
    asks(to=group("managers"), four_eyes=True)
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        await reads.read(people, "old", to="managers")
        [prompt] = await hosting.prompts(await hosting.submit())
        fields = {**REASSIGN, "_selected_action": str(prompt.pk), "note": "On leave"}
        for field in ("users", "permission"):
            page = await boss.post(PROMPTS, {**fields, field: "a." * 128})
            assert "A name has at most 255 characters." in page
            assert "On leave</textarea>" in page
        own = await boss.post(PROMPTS, {**fields, "users": "ann"})
        assert "0 of these may answer" in own  # four eyes
        assert "Your unsent note: On leave" in own


async def test_a_prompt_is_reassigned_to_its_owner() -> None:
    asks(to=user("old"))
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        await reads.read(people, "old")
        [prompt] = await hosting.prompts(await hosting.submit())
        fields = {**REASSIGN, "_selected_action": str(prompt.pk), "users": "ann"}
        assert ": neu zugewiesen." in await boss.post(PROMPTS, fields, "de")
        assert await reads.read(lambda: Conversation.objects.get().waiting) == 1
        assert (await hosting.answer("yes")).outcome == "accepted"
        assert await reads.read(lambda: Conversation.objects.get().waiting) == 0
        assert "diese Personen dürfen sie nicht" in await boss.post(PROMPTS, fields, "de")


async def test_a_vote_of_an_operator_is_none_that_came_too_late() -> None:
    asks(to=[group("managers"), user("old")], votes=2)
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        [old] = await reads.read(people, "old")
        await reads.read(people, "boss", to="managers")
        [prompt] = await hosting.prompts(await hosting.submit())
        assert "Your vote counts" in await boss.post(answer_page(prompt.pk), {"answer": "yes"})
        assert await history() == ["boss: answered by an operator: yes"]
        assert (await give("yes", prompt, old)).outcome == "accepted"


async def test_an_operator_answers_what_somebody_has_claimed() -> None:
    asks(to=group("managers"))
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        [ben] = await reads.read(people, "ben", to="managers")
        [prompt] = await hosting.prompts(await hosting.submit())
        await change("claim", prompt, ben)
        assert "answered" in await boss.post(answer_page(prompt.pk), {"answer": "yes"})
        assert (await history())[-1] == "boss: answered by an operator: yes"


async def test_an_operator_escalates_a_prompt_early() -> None:
    asks(to=user("old"), escalate=Escalation(3600, group("directors")))
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        await reads.read(people, "old")
        await reads.read(people, "dora", to="directors")
        [prompt] = await hosting.prompts(await hosting.submit())
        assert "Escalate now" in await boss.get(f"{PROMPTS}{prompt.pk}/change/")
        assert ": escalated." in await boss.act("interaction", "escalate", prompt)
        assert await candidate_names(hosting) == ["old", "directors"]
        asks()
        [own] = await hosting.prompts(await hosting.submit(conversation="c2"))
        told = await boss.act("interaction", "escalate", prompt, own)
        assert told.count("not escalated. It is settled already, or has no further") == 2
        page = await boss.get(f"{PROMPTS}{prompt.pk}/change/")
        assert "Escalate now" not in page
        assert "the group directors" in page
        audit = await sentences(boss, f"{PROMPTS}{prompt.pk}/change/", column=2)
        assert audit == [
            "Give ann 3 days off? was asked of old",
            "boss escalated Give ann 3 days off? to directors, from the admin",
        ]


@pytest.mark.parametrize("name", ["old", "ben"])
async def test_who_was_asked_by_name_answers_on_behalf_of_nobody(name: str) -> None:
    asks(to=user("old"), escalate=Escalation(3600, user("ben")))
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        [person, _] = await reads.read(people, name, *{"old", "ben"} - {name})
        await users().aupdate(first_name="Ben", last_name="Lee")
        [prompt] = await hosting.prompts(await hosting.submit())
        await boss.act("interaction", "escalate", prompt)
        await give("yes", prompt, person)
        *_, answered = await sentences(boss, f"{PROMPTS}{prompt.pk}/change/", column=2)
        assert answered == f"Ben Lee ({name}) answered Give ann 3 days off? with yes"


async def test_who_can_answer_is_said_by_name_and_group() -> None:
    asks(to=[group("managers"), user("old")], four_eyes=True, votes=2)
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        [ben, _, _] = await reads.read(people, "ben", "gone", "ann", to="managers")
        await reads.read(people, "old")
        named_ben = {"first_name": "Ben", "last_name": "<b>"}
        await reads.read(lambda: users().filter(username="ben").update(**named_ben))
        [prompt] = await hosting.prompts(await hosting.submit())
        await reads.read(lambda: users().filter(username="gone").update(is_active=False))
        await give("yes", prompt, ben)
        page = await boss.get(f"{PROMPTS}{prompt.pk}/change/")
        can_answer = page.partition("Who can answer now</dt>")[2].partition("</dd>")[0]
        lines = [" ".join(strip_tags(line).split()) for line in can_answer.split("</li>")]
        assert lines == ["Ben &lt;b&gt; (ben) managers", "old", ""]
        assert "Ben &lt;b&gt; (ben): yes" in page
        await reads.read(lambda: users().update(is_active=False))
        await reads.read(lambda: users().filter(username="boss").update(is_active=True))
        assert "nobody: reassign it" in await boss.get(f"{PROMPTS}{prompt.pk}/change/")


@pytest.mark.slow
async def test_operators_filter_unanswerable_and_overdue_prompts() -> None:
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        await reads.read(people, "gone")
        await reads.read(lambda: Group.objects.create(name="empty"))
        await reads.read(
            lambda: Group.objects.create(name="own").user_set.add(hosting.user)  # ann alone
        )
        assignments: list[dict[str, Any]] = [
            {"to": user("gone")},
            {"to": group("empty")},
            {"to": group("own"), "four_eyes": True},
            {"to": group("own"), "due": 60},
            {},
        ]
        for number, how in enumerate(assignments):
            asks(**how)
            await hosting.prompts(await hosting.submit(conversation=f"c{number}"))
        await reads.read(lambda: users().filter(username="gone").update(is_active=False))

        async def count(filter_value: str) -> int:
            return (await boss.get(f"{PROMPTS}?waits={filter_value}")).count('class="field-whom')

        assert [await count(one) for one in ("nobody", "overdue", "unclaimed", "claimed")] == [
            *(3, 0, 4, 0)
        ]
        late = Interaction.objects.filter(due_at__isnull=False)
        await reads.read(lambda: late.update(due_at=timezone.now()))
        assert await count("overdue") == 1
        await reads.read(lambda: Group.objects.filter(name="own").delete())
        assert await count("nobody") == 4
        await reads.read(lambda: late.update(status=Interaction.Status.ANSWERED))
        assert await count("overdue") == 0


async def test_entries_are_exported() -> None:
    asks(to=user("old"))
    async with host_and_operate(Hosting("t_assigned")) as (hosting, boss):
        await reads.read(people, "old")
        prompts: list[Interaction] = []
        for number in range(3):
            run = await hosting.submit(conversation=f"c{number}")
            prompts += await hosting.prompts(run)
        entries = await reads.read(lambda: list(AuditEntry.objects.order_by("pk")))
        lines = (await boss.export("export_jsonl", *entries)).splitlines()
        prompt_ids = [json.loads(line)["interaction"] for line in lines]
        assert prompt_ids == [str(prompt.pk) for prompt in prompts]
        assert (await boss.export("export_csv", *entries)).startswith('"at","action"')
