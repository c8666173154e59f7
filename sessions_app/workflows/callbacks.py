"""Callback URLs, by which another site sends data to a run; signed against forgery."""

from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer

from sessions_app.errors import NotFound
from sessions_app.settings import RuntimeSettings

# Separator before the signature: mail programs and shells do not take a dot for a URL's end.
SEPARATOR = "."


@dataclass(frozen=True, slots=True)
class Callback:
    """The content of a callback URL: the run that gets the data, and the data's name and id."""

    run: UUID
    name: str
    id: str


def callback_url(run: str, name: str, id: str) -> str:
    """Build the callback URL of a run.

    Raises:
        ImproperlyConfigured: the setting CALLBACKS_URL is empty.
    """
    base = RuntimeSettings.load().CALLBACKS_URL
    if not base:
        raise ImproperlyConfigured(
            "HITL has no CALLBACKS_URL: set it to where the chat's URLs are, and `callbacks/`, "
            "such as https://site.example/callbacks/"
        )
    return f"{base.rstrip('/')}/{_signer().sign_object([run, name, id])}"


def read_callback(token: str) -> Callback:
    """Decode the last part of a callback URL.

    Raises:
        NotFound: the signature is not valid.
    """
    try:
        run, name, id = _signer().unsign_object(token)
    except BadSignature:
        raise NotFound("There is no such callback.") from None
    return Callback(UUID(run), name, id)


def _signer() -> Signer:
    return Signer(sep=SEPARATOR, salt="sessions_app.callbacks")
