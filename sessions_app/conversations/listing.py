"""The entry of a conversation in its owner's list: its title, deletion and restoration.

A deleted conversation is accessible to `restore` only. Its runs are stopped, and stay stopped after
a restoration.
"""

from uuid import UUID

from django.utils.translation import pgettext_lazy

from sessions_app.conversations.stops import stop_rest, stop_some
from sessions_app.errors import Invalid, NotFound
from sessions_app.models import Conversation
from sessions_app.models.people import UserId
from sessions_app.notify.groups import group_name, send_to_group
from sessions_app.notify.news import LOOK, PROMPTS, PROMPTS_CHANGED
from sessions_app.prompts.hidden_characters import is_seen
from sessions_app.storage.storable import check_length, check_storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

MAX_TITLE = 200


async def rename(*, owner: UserId, conversation_id: str, title: str) -> None:
    """Change the title of the owner's conversation, which keeps its place in the list.

    Raises:
        Invalid: the title has no visible character, or is too long.
        NotFound: there is no such conversation.
    """
    title = " ".join(title.split())
    check_storable(pgettext_lazy("hitl", "The title"), title)
    if not is_seen(title):
        raise Invalid(pgettext_lazy("hitl", "The title is empty. Write one."))
    refusal = pgettext_lazy(
        "hitl", "The title has {length} characters; at most {most} are allowed. Shorten it."
    )
    check_length(title, MAX_TITLE, refusal)
    conversations = Conversation.objects.of(owner, conversation_id)
    if not await writer.write(lambda tx: conversations.update(title=title)):
        raise NotFound("There is no such conversation.")


async def delete(*, owner: UserId, conversation_id: str) -> None:
    """Hide the owner's conversation from everything but `restore`, and ask its runs to stop.

    A day later, `retention` deletes the conversation and everything that belongs to it.

    Raises:
        NotFound: there is no such conversation.
    """
    conversation, is_run_left = await writer.write(lambda tx: _delete(tx, owner, conversation_id))
    if is_run_left:
        await stop_rest(conversation)
    # Notify the readers of the conversation, and everybody who counts open prompts.
    await send_to_group(group_name(conversation), LOOK)
    await send_to_group(PROMPTS, PROMPTS_CHANGED)


async def restore(*, owner: UserId, conversation_id: str) -> None:
    """Restore a conversation that its owner has deleted.

    Raises:
        NotFound: there is no such conversation, or it is already removed.
    """

    def work(tx: Transaction) -> None:
        Conversation.objects.filter(pk=_find(tx, owner, conversation_id)).update(deleted_at=None)

    await writer.write(work)


def lock_kept(tx: Transaction, conversation: UUID) -> None:
    """Lock a conversation that is not deleted, before one of its runs begins or continues.

    Raises:
        NotFound: the owner has deleted the conversation.
    """
    tx.lock(conversation)
    if not Conversation.objects.filter(pk=conversation, deleted_at=None).exists():
        raise NotFound("The conversation of this run was deleted by its owner.")


def _delete(tx: Transaction, owner: UserId, conversation_id: str) -> tuple[UUID, bool]:
    """Return the deleted conversation, and whether some of its runs still have to be stopped."""
    conversation = _find(tx, owner, conversation_id)
    Conversation.objects.filter(pk=conversation, deleted_at=None).update(deleted_at=tx.now)
    return conversation, stop_some(tx, conversation)


def _find(tx: Transaction, owner: UserId, conversation_id: str) -> UUID:
    """Find and lock a conversation, even a deleted one.

    The lock serialises deletion and messages: the run of a message before the deletion is stopped,
    a message after the deletion is refused.

    Raises:
        NotFound: there is no such conversation.
    """
    rows = Conversation.objects.filter(owner_id=owner, conversation_id=conversation_id)
    conversation = rows.values_list("pk", flat=True).first()
    if conversation is None:
        raise NotFound("There is no such conversation.")
    tx.lock(conversation)
    return conversation
