"""What the owner of a run thinks of what came of it."""

from sessions_app.errors import NotFound
from sessions_app.models import Run
from sessions_app.models.people import UserId
from sessions_app.storage import sql
from sessions_app.storage.storable import check_storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer


def as_line(feedback: dict[str, str] | None) -> str:
    """The reaction, and the comment behind it; whatever order the database keeps them in."""
    kept = feedback or {}
    return " ".join(kept[name] for name in ("reaction", "comment") if name in kept)


async def give(*, owner: UserId, trace_id: str, feedback: dict[str, str]) -> None:
    """Keep feedback on the owner's newest run of that trace.

    Of a reaction and a comment each new one takes the place of the earlier one; the other stays.

    Raises:
        NotFound: no run of this owner has that trace.
        Invalid: a text cannot be stored.
    """
    for name, text in feedback.items():
        check_storable(name, text)
    await writer.write(lambda tx: _give(tx, owner, trace_id, feedback))


def _give(tx: Transaction, owner: UserId, trace_id: str, feedback: dict[str, str]) -> None:
    mine = Run.objects.filter(conversation__owner_id=owner, metadata__trace_id=trace_id)
    run = mine.order_by("-created_at").first()
    if run is None:
        raise NotFound("There is no run of that trace.")
    tx.lock(run.conversation_id)
    run.refresh_from_db(fields=["feedback"])
    kept = {**(run.feedback or {}), **feedback}
    sql.update(Run, {"feedback": sql.Json(kept)}, id=run.id)
