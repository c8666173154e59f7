"""Links to the page of one prompt, for clients that cannot show the prompt.

A guest cannot sign in on that page, so a guest's link is signed: for one day, it opens that
prompt's page to that guest, and nothing else.
"""

from datetime import timedelta
from uuid import UUID

from django.core.signing import BadSignature, TimestampSigner
from django.urls import reverse

from chat_app.identity.request_facts import own_origin
from chat_app.settings import ChatSettings
from sessions_app.interactions.answerers import is_active
from sessions_app.models.people import Person, is_guest, read_user_id, users
from sessions_app.workflows.request_context import AsgiScope

VALID = timedelta(days=1)

_signer = TimestampSigner(salt="chat_app.prompt_links")


def prompt_link(scope: AsgiScope, person: Person, interaction: str) -> str:
    """Return the absolute URL of the prompt's page, signed for a guest.

    The URL begins with PUBLIC_URL, or else with the host of the person's own connection.
    """
    name, key = "chat:prompt", interaction
    if is_guest(person.username):
        name, key = "chat:linked", _signer.sign(f"{interaction}:{person.id}")
    chat = ChatSettings.load()
    if chat.known_url:
        return chat.public_link(name, key)
    return (own_origin(scope) or "") + reverse(name, args=[key])


def read_prompt_link(token: str) -> tuple[Person, UUID] | None:
    """Return the guest and the prompt of a link; None if the link is not valid. Blocks."""
    try:
        interaction, _, user = _signer.unsign(token, max_age=VALID).partition(":")
    except BadSignature:
        return None
    guest = users().filter(pk=read_user_id(user)).first()
    if guest is None or not is_active(guest) or not ChatSettings.load().GUESTS:
        return None
    return Person.of(guest), UUID(interaction)
