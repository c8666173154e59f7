"""Many waiting conversations, made in the database as copies of one that the application made.

The copies are therefore as consistent as the original. The SQL is PostgreSQL's; `?` marks a
parameter, as in `server_store`.
"""

from collections.abc import Iterator
from uuid import UUID

Statement = tuple[str, tuple[object, ...]]

# Copies a row; in its text columns, the ids of conversation, run and interaction are replaced.
COPY = """
    INSERT INTO {table} SELECT made.* FROM {table} one,
        (SELECT array_agg(id ORDER BY id) ids FROM auth_user WHERE username LIKE ?) owners,
        generate_series(1, ?) number,
        jsonb_populate_record(
            NULL::{table},
            replace(replace(replace(to_jsonb(one)::text,
                ?, md5('c' || number)::uuid::text), ?, md5('r' || number)::uuid::text),
                ?, md5('i' || number)::uuid::text)::jsonb || {changes}
        ) made
    WHERE one.{condition}
"""
OWNED = """jsonb_build_object(
    'conversation_id', 'copy' || number, 'owner_id', ids[1 + mod(number, cardinality(ids))]
)"""
NUMBERED = "jsonb_build_object('id', nextval(pg_get_serial_sequence('{table}', 'id')))"
SAME = "'{{}}'::jsonb"
OF_RUN = "SELECT {} FROM sessions_app_run WHERE conversation_id = ?"
TABLES = (
    ("conversation", OWNED, "id = ?"),
    ("run", SAME, "conversation_id = ?"),
    ("event", NUMBERED, "conversation_id = ?"),
    ("interaction", SAME, "conversation_id = ?"),
    ("journalentry", NUMBERED, f"run_id IN ({OF_RUN.format('id')})"),
    ("hostlease", SAME, f"key IN ({OF_RUN.format('key')})"),
)


def copy_statements(waiting: dict[str, UUID], count: int, *, owners: str) -> Iterator[Statement]:
    """Yield statements that copy a conversation with one waiting run `count` times.

    `waiting` has the ids of its `conversation`, `run` and `interaction`. The copies belong, in
    turn, to the users whose names are LIKE `owners`.
    """
    # Drop plans: foreign-key checks planned for small tables would scan the tables for each row.
    yield "DISCARD PLANS", ()
    ids = [str(waiting[name]) for name in ("conversation", "run", "interaction")]
    for noun, changes, condition in TABLES:
        table = f"sessions_app_{noun}"
        statement = COPY.format(
            table=table, changes=changes.format(table=table), condition=condition
        )
        yield statement, (owners, count, *ids, ids[0])
