"""Tests of the audit as a file: in order, with questions that were their owners' alone."""

import csv
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from sessions_app import runs
from sessions_app.contrib.operations import audit_trail
from sessions_app.models import AuditEntry, Interaction
from sessions_app.storage import reads
from sessions_app.workflows import TextPrompt, user
from tests.runtime.assignment.asking import actions, asking_people, asks, give
from tests.support.hosting import django_user

pytestmark = pytest.mark.django_db(transaction=True)


def export_audit(form: str, *args: str) -> str:
    printed = StringIO()
    call_command("export_audit", "--format", form, *args, stdout=printed)
    return printed.getvalue()


async def test_the_audit_is_exported_in_order_with_unassigned_prompts() -> None:
    async with asking_people("boss", to=user("boss")) as (hosting, first, [boss]):
        asks(TextPrompt(text="=1+1\nPlain?"))
        _, plain = await hosting.submit_until_prompt(conversation="c2")
        opened = await reads.read(audit_trail.of_prompt, plain)
        assert [one.action for one in opened] == ["opened"]
        await give("yes", first, boss)
        await give("\uff1dHYPERLINK(1)", plain, hosting.person)

        lines = (await reads.read(export_audit, "jsonl")).splitlines()
        entries = [json.loads(line) for line in lines]
        assert [(one["action"], one["by_name"], one["interaction"]) for one in entries] == [
            ("opened", "", str(first.pk)),
            ("opened", "", str(plain.pk)),
            ("answered", "boss", str(first.pk)),
            ("answered", "ann", str(plain.pk)),
        ]
        assert entries[3]["detail"] == {"response": {"value": "\uff1dHYPERLINK(1)"}}
        rows = list(csv.DictReader(StringIO(await reads.read(export_audit, "csv"))))
        assert [row["question"] for row in rows][1] == "'=1+1"  # no formula
        assert [row["action"] for row in rows] == [one["action"] for one in entries]
        assert await reads.read(export_audit, "jsonl", "--workflow", "another") == ""
        later = (timezone.now() + timedelta(hours=1)).isoformat()
        assert await reads.read(export_audit, "jsonl", "--since", later) == ""
        assert await reads.read(export_audit, "jsonl", "--until", later) == "\n".join(lines) + "\n"
        asked_before = Interaction.objects.filter(pk=plain.pk)
        await asked_before.aupdate(created_at=timezone.now() - timedelta(days=40))
        since = (timezone.now() - timedelta(days=30)).isoformat()
        assert lines[3] in await reads.read(export_audit, "jsonl", "--since", since)


async def test_an_own_question_that_is_reassigned_keeps_its_opening() -> None:
    async with asking_people("boss") as (_, prompt, [boss]):
        opening = await reads.read(export_audit, "jsonl")
        for _again in range(2):
            await runs.areassign(prompt.pk, to=[user("boss")], by=django_user(boss))
        assert (await reads.read(export_audit, "jsonl")).startswith(opening)
        assert await reads.read(actions, prompt) == [
            *(("opened", ""), ("reassigned", "boss"), ("reassigned", "boss"))
        ]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1", "  =1", "\uff1d1", "\r1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    entry = AuditEntry(question=cell, at=timezone.now(), detail={})
    [row] = csv.DictReader(StringIO("".join(audit_trail.as_csv([entry])), newline=""))
    assert row["question"] == f"'{cell}"
