"""Conversations that ask, in the database alone; and a hundred thousand prompts of ten thousand
people: copies of a few. The SQL is that of both databases, but for how a number becomes a UUID.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import connection, models
from django.utils import timezone

from sessions_app.models import Candidate, Conversation, Interaction, Run

PEOPLE = 10_000
EACH = 10
KINDS = 4  # of those who may answer: the owner, a user, a group, who has a permission
PERMISSIONS = ("auth.add_user", "auth.change_user", "auth.delete_user", "auth.view_user")
NOW = timezone.now()
PROMPT = {"input_type": "text", "text": "Why?", "details": {"a": "b"}}
UUIDS = {"sqlite": "printf('%032x', {})", "postgresql": "lpad(to_hex({}), 32, '0')::uuid"}
COPY = """
    INSERT INTO {table} ({columns})
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {people})
    SELECT {values} FROM numbers, {source} WHERE {condition}
"""


def new_conversation(owner: User, name: str, **fields: Any) -> Conversation:
    fields = {"workflow": "none", "title": "x", "created_at": NOW, "updated_at": NOW, **fields}
    return Conversation(owner=owner, conversation_id=name, **fields)


def new_run(conversation: Conversation) -> Run:
    return Run(
        conversation=conversation,
        key=f"conversation:{conversation.pk}:{conversation.workflow}",
        workflow=conversation.workflow,
        message_id="m",
        text="ask()",
        client_format="chat",
        status=Run.Status.WAITING,
        created_at=NOW,
    )


def new_prompt(run: Run, position: int, **fields: Any) -> Interaction:
    fields = {"prompt": PROMPT, "name": "text", "created_at": NOW, "due_at": NOW, **fields}
    return Interaction(
        run=run,
        conversation=run.conversation,
        position=position,
        sequence=position + 1,
        **fields,
    )


def ask(owner: User, to: User, group: Group, permission: str) -> Conversation:
    """Create a conversation with EACH prompts, of all kinds in turn, and one answered by its
    owner.
    """
    conversation = new_conversation(owner, "c", waiting=len(range(0, EACH, KINDS)))
    conversation.save()
    run = new_run(conversation)
    run.save()
    to_whom: list[dict[str, Any]] = [{"user": to}, {"group": group}, {"permission": permission}]
    for position in range(EACH):
        kind = position % KINDS
        rules = {"four_eyes": False, "votes": 1} if kind else None
        prompt = new_prompt(run, position, assignment=rules, for_owner=kind == 0)
        prompt.save()
        if kind:
            Candidate.objects.create(
                interaction=prompt, due=NOW, asked_at=NOW, owner=owner, **to_whom[kind - 1]
            )
    answer_fields = {"status": "answered", "answered_at": NOW, "response": {"value": "x"}}
    new_prompt(run, EACH, **answer_fields, answered_by=owner).save()
    return conversation


def ask_for_many() -> None:
    """Have each of PEOPLE ask EACH, of people, groups and who has permissions, in turn."""
    people = User.objects.bulk_create(User(username=f"u{n}") for n in range(PEOPLE))
    groups = Group.objects.bulk_create(Group(name=f"g{n}") for n in range(PEOPLE // 10))
    member = User.groups.through
    member.objects.bulk_create(
        member(user=one, group=groups[number % len(groups)]) for number, one in enumerate(people)
    )
    codenames = [one.partition(".")[2] for one in PERMISSIONS]
    permissions = list(Permission.objects.filter(codename__in=codenames))
    may = User.user_permissions.through
    may.objects.bulk_create(
        may(user=one, permission=permissions[number % len(permissions)])
        for number, one in enumerate(people)
    )
    first = ask(people[0], people[1], groups[0], PERMISSIONS[0]).pk.hex
    owner = f"{people[0].pk} + mod(n, {PEOPLE})"
    other = f"{people[0].pk} + mod(n + it.position, {PEOPLE})"
    group = f"{groups[0].pk} + mod(n + it.position, {len(groups)})"
    names = " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(PERMISSIONS))
    number = {"sqlite": "{}", "postgresql": "({})::bigint"}[connection.vendor]
    uuid = UUIDS[connection.vendor].format(number)
    run_ids = {"run_id": uuid.format("n"), "conversation_id": uuid.format("n")}
    prompt = uuid.format(f"n * {EACH + 1} + it.position")
    its = f"one.conversation_id = '{first}'"
    _copy(
        Conversation,
        f"one.id = '{first}'",
        id=run_ids["run_id"],
        owner_id=owner,
        conversation_id="'copy'",
    )
    _copy(Run, its, id=run_ids["run_id"], conversation_id=run_ids["run_id"])
    of_this = f"{its} AND it.id = one.id"
    answered_by = f"CASE WHEN one.answered_by_id IS NOT NULL THEN {owner} END"
    _copy(Interaction, of_this, id=prompt, **run_ids, answered_by_id=answered_by)
    _copy(
        Candidate,
        f"it.conversation_id = '{first}' AND it.id = one.interaction_id",
        interaction_id=prompt,
        owner_id=owner,
        user_id=f"CASE WHEN one.user_id IS NOT NULL THEN {other} END",
        group_id=f"CASE WHEN one.group_id IS NOT NULL THEN {group} END",
        permission=f"CASE WHEN one.permission = '' THEN '' ELSE"
        f" CASE mod(n, {len(PERMISSIONS)}) {names} END END",
    )


def _copy(model: type[models.Model], condition: str, **changes: str) -> None:
    """Insert copies of the rows that meet the condition; `it` is the interaction of such a row."""
    meta = model._meta
    columns = [
        str(one.column)
        for one in meta.concrete_fields
        if one.column in changes or not isinstance(one, models.AutoField)
    ]
    its = f", {Interaction._meta.db_table} it" if "it.id" in condition else ""
    with connection.cursor() as cursor:
        cursor.execute(
            COPY.format(
                table=meta.db_table,
                columns=", ".join(f'"{one}"' for one in columns),
                people=PEOPLE - 1,
                values=", ".join(changes.get(one, f'one."{one}"') for one in columns),
                source=f"{meta.db_table} one{its}",
                condition=condition,
            )
        )


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def plan_as_elsewhere() -> None:
    """Have PostgreSQL plan for the rows of this test, and for pages read one by one.

    The planner counts pages, and what earlier tests took back has left some. Tables as small as
    these are read whole where a page elsewhere costs four times as much.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {Conversation._meta.db_table} CASCADE")
            cursor.execute("SET LOCAL random_page_cost = 1.1")
