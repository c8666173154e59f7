"""Rows of many conversations that wait, with all that the operators' pages list of them."""

from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

from sessions_app.models import (
    Attachment,
    AuditEntry,
    Candidate,
    Conversation,
    Event,
    Feedback,
    HostLease,
    Interaction,
    JournalEntry,
    PendingSignal,
    Run,
)

# So many conversations belong to one person.
EACH = 10
WORKFLOWS = ("report", "refund", "travel", "approve", "order")
PROMPT = {"input_type": "text", "text": "What is the name of the customer?"}
RULES = {"votes": 1, "four_eyes": False, "names": ["managers"]}
NOW = datetime.now(UTC)
# Ids are scattered, as random ones are.
SCATTER = 2654435761, 2**32
UUIDS = {
    "sqlite": "printf('%%08x%%023x', mod(n * {}, {}), n) || '{}'",
    "postgresql": "(lpad(to_hex(mod(n::bigint * {}, {})), 8, '0') || lpad(to_hex(n), 23, '0')"
    " || '{}')::uuid",
}
UUID_TEXTS = {
    "sqlite": "printf('%%08x-0000-0000-0000-%%011x', mod(n * {}, {}), n) || '{}'",
    "postgresql": "({})::text",
}
TIMES = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', (10 * ({})) || ' seconds')",
    "postgresql": "now() + ({}) * interval '10 seconds'",
}
INSERT = """
    INSERT INTO {table} ({columns})
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
    SELECT {values} FROM numbers WHERE {condition}
"""


def fill(count: int) -> None:  # noqa: PLR0915 - a statement for each table
    """Insert `count` conversations, each with a run, its pending prompt, events and an entry.

    The prompts are for their owner, a user, a group and the holders of a permission in turn.
    """
    people = count // EACH
    User.objects.bulk_create(User(username=f"user{n}") for n in range(people))
    first_person = User.objects.get(username="user0")
    group = Group.objects.create(name="managers")
    group.user_set.add(first_person)
    conversation, run, prompt = (_id(kind) for kind in "cda")
    ids = {"run_id": run, "conversation_id": conversation}
    owner, other = (f"{first_person.pk} + ((n + {number}) %% {people})" for number in (0, 1))
    cases = " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(WORKFLOWS))
    workflow = f"CASE (n %% {len(WORKFLOWS)}) {cases} END"
    key = f"'conversation:' || {_id_text('c')} || ':' || {workflow}"
    ago, ahead = (TIMES[connection.vendor].format(number) for number in ("-n", "n"))
    _insert(
        count,
        Conversation(title="A conversation", last_sequence=3, waiting=1, listed_at=NOW),
        id=conversation,
        owner_id=owner,
        conversation_id="'chat-' || n",
        workflow=workflow,
        created_at=ago,
        updated_at=ago,
    )
    _insert(
        count,
        Run(message_id="m", text="A message", status=Run.Status.WAITING),
        id=run,
        conversation_id=conversation,
        key=key,
        workflow=workflow,
        version="1 + (n %% 3)",
        replay_problem="CASE (n %% 100) WHEN 0 THEN 'Other code.' ELSE '' END",
        created_at=ago,
        started_at=ago,
    )
    for condition, rules in (("(n %% 4) = 0", None), ("(n %% 4) > 0", RULES)):
        asked = Interaction(position=1, sequence=3, prompt=PROMPT, name="text", assignment=rules)
        asked.for_owner = rules is None
        _insert(
            count,
            asked,
            condition,
            **ids,
            id=prompt,
            created_at=ago,
            expires_at=f"CASE (n %% 3) WHEN 0 THEN {ahead} END",
            due_at=f"CASE (n %% 5) WHEN 0 THEN {ago} END",
            assignee_id=f"CASE (n %% 9) WHEN 0 THEN {other} END",
        )
    _insert(
        count,
        Candidate(),
        "(n %% 4) <> 0",
        interaction_id=prompt,
        asked_at=ago,
        owner_id=owner,
        user_id=f"CASE (n %% 4) WHEN 1 THEN {other} END",
        group_id=f"CASE (n %% 4) WHEN 2 THEN {group.pk} END",
        permission="CASE (n %% 4) WHEN 3 THEN 'auth.add_user' ELSE '' END",
    )
    for number, type_ in enumerate(("user_message", "run", "interaction"), 1):
        payload = {"text": "A message", "status": "waiting"}
        event = Event(first_sequence=number, sequence=number, type=type_, payload=payload)
        _insert(count, event, **ids, created_at=ago)
    entry = JournalEntry(position=0, kind="step", name="book", result={"total": 5}, sequence=2)
    _insert(count, entry, run_id=run, started_at=ago, finished_at=ago)
    _insert(
        count,
        HostLease(worker="w:1"),
        key=key,
        workflow=workflow,
        started_at=ago,
        last_activity=ago,
        released_at=f"CASE WHEN (n %% 100) > 0 THEN {ago} END",
    )
    _insert(
        count,
        AuditEntry(question=PROMPT["text"], action="opened", via="page"),
        interaction=prompt,
        run=run,
        workflow=workflow,
        at=ago,
        by=f"CAST({owner} AS text)",
        by_name=f"'user' || (n %% {people})",
    )
    for remainder, about in (
        (1, {"mail": str(first_person.pk)}),
        (2, {"webhook": "prompt.opened"}),
    ):
        _insert(
            count,
            PendingSignal(name=PendingSignal.NOTICE, about=about),
            f"(n %% 8) = {remainder}",
            run_id=run,
            interaction_id=prompt,
            due_at=f"CASE WHEN (n %% 16) < 8 THEN {ahead} END",
            outcome="CASE WHEN (n %% 16) < 8 THEN '' ELSE 'sent' END",
            settled_at=f"CASE WHEN (n %% 16) >= 8 THEN {ago} END",
        )
    _insert(count, Feedback(reaction="👍"), "(n %% 4) = 0", run_id=run, given_at=ago)
    _insert(
        count,
        Attachment(name="a.pdf", content_type="application/pdf", size=9, is_stored=True),
        "(n %% 4) = 0",
        id=_id("b"),
        owner_id=owner,
        conversation_name="'chat-' || n",
        path="'path-' || n",
        run_id=run,
        created_at=ago,
    )
    if connection.vendor == "postgresql":  # as autovacuum does
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def id_of(kind: str, number: int) -> UUID:
    """Return the id of a conversation (c), a run (d), an interaction (a) or an attachment (b)."""
    factor, modulus = SCATTER
    return UUID(f"{number * factor % modulus:08x}{number:023x}{kind}")


def _id(kind: str) -> str:
    return UUIDS[connection.vendor].format(*SCATTER, kind)


def _id_text(kind: str) -> str:
    if connection.vendor == "sqlite":
        return UUID_TEXTS["sqlite"].format(*SCATTER, kind)
    return UUID_TEXTS["postgresql"].format(_id(kind))


def _insert(count: int, row: models.Model, condition: str = "true", **expressions: str) -> None:
    """Insert a copy of the row for each number n up to `count` that meets the condition.

    `expressions` are the columns' SQL that differs from copy to copy.
    """
    fields = [
        field
        for field in row._meta.concrete_fields
        if field.column in expressions or not isinstance(field, models.AutoField)
    ]
    stored = {field: field.pre_save(row, True) for field in fields}
    fields = [field for field in fields if not isinstance(stored[field], DatabaseDefault)]
    values = [
        field.get_db_prep_save(stored[field], connection)
        for field in fields
        if field.column not in expressions
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT.format(
                table=row._meta.db_table,
                columns=", ".join(f'"{field.column}"' for field in fields),
                count=count,
                values=", ".join(expressions.get(str(field.column), "%s") for field in fields),
                condition=condition,
            ),
            values,
        )
