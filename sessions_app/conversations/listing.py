"""How a conversation stands in its owner's list: what it is called there."""

from sessions_app.errors import Invalid, NotFound
from sessions_app.models import Conversation
from sessions_app.models.people import UserId
from sessions_app.storage.storable import check_storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

MAX_TITLE = 200


async def rename(*, owner: UserId, conversation_id: str, title: str) -> None:
    """Give the owner's conversation another title. It keeps its place in the list.

    Raises:
        Invalid: nothing of the title can be seen, or it is too long.
        NotFound: there is no such conversation.
    """
    title = " ".join(title.split())
    check_storable("The title", title)
    if not any(character.isprintable() for character in title):
        raise Invalid("The title is empty. Write one.")
    if len(title) > MAX_TITLE:
        raise Invalid(
            f"The title has {len(title):,} characters; at most {MAX_TITLE:,} are taken. "
            "Shorten it.",
            max_length=MAX_TITLE,
        )
    await writer.write(lambda tx: _change(tx, owner, conversation_id, title=title))


def _change(_: Transaction, owner: UserId, conversation_id: str, **values: object) -> None:
    mine = Conversation.objects.filter(owner_id=owner, conversation_id=conversation_id)
    if not mine.update(**values):
        raise NotFound("There is no such conversation.")
