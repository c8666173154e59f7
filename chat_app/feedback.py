"""The owner's feedback on a run: given, changed and removed."""

from uuid import UUID

from django.utils.translation import pgettext_lazy

from sessions_app.errors import NotFound
from sessions_app.models import Conversation, Feedback, Run
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.storable import check_length, check_storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

UP, DOWN = "👍", "👎"
MAX_LENGTHS = {"reaction": 20, "comment": 1024}


async def give(
    *, owner: UserId, run: UUID, reaction: str | None = None, comment: str | None = None
) -> None:
    """Store feedback on a run of the owner. None keeps a stored field; an empty text removes it.

    Raises:
        NotFound: this owner has no such run.
        Invalid: a text is too long, or cannot be stored.
    """
    fields = {"reaction": reaction, "comment": comment}
    texts = {name: text.strip() for name, text in fields.items() if text is not None}
    for name, text in texts.items():
        check_storable(name, text)
        refusal = pgettext_lazy(
            "hitl", "The text has {length} characters; at most {most} are allowed. Shorten it."
        )
        check_length(text, MAX_LENGTHS[name], refusal)
    await writer.write(lambda tx: _store(tx, owner, run, texts))


async def find_run(*, owner: UserId, trace_id: str) -> UUID:
    """Return the owner's newest run with a trace id, without child runs.

    There is no index of trace ids, because an index would cost each message a write. So the query
    reads all runs of the owner, outside of the writer's thread.

    Raises:
        NotFound: no run of this owner has that trace id.
    """
    check_storable("The trace", trace_id)
    runs = Run.objects.filter(
        conversation__in=Conversation.objects.of(owner),
        metadata__trace_id=trace_id,
        parent=None,
    )
    newest = runs.order_by("-created_at").values_list("pk", flat=True)
    run = await reads.read_for(owner, newest.first)
    if run is None:
        raise NotFound("There is no run of that trace.")
    return run


def _store(tx: Transaction, owner: UserId, run: UUID, texts: dict[str, str]) -> None:
    runs = Run.objects.filter(pk=run, conversation__in=Conversation.objects.of(owner))
    conversation = runs.values_list("conversation_id", flat=True).first()
    if conversation is None:
        raise NotFound("There is no such run.")
    tx.lock(conversation)  # serialise concurrent feedback by a lock
    feedback = Feedback.objects.filter(pk=run).first() or Feedback(run_id=run)
    for name, text in texts.items():
        setattr(feedback, name, text)
    if feedback.reaction or feedback.comment:
        feedback.given_at = tx.now
        feedback.save()
    else:
        Feedback.objects.filter(pk=run).delete()
