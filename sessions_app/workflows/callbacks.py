"""URLs by which another site tells a run something: signed, so that nobody makes one up."""

from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer

from sessions_app.errors import NotFound
from sessions_app.settings import RuntimeSettings

# Of the signature. A mark that no mailer and no shell takes for the end of a URL.
SEPARATOR = "."


@dataclass(frozen=True, slots=True)
class Callback:
    """The meaning of a callback URL: something of that name and that id, sent to the run."""

    run: UUID
    name: str
    id: str


def callback_url(run: str, name: str, id: str) -> str:
    """Build the callback URL of a run.

    Raises:
        ImproperlyConfigured: the project does not say where such URLs lead.
    """
    base = RuntimeSettings.load().CALLBACKS_URL
    if not base:
        raise ImproperlyConfigured(
            "HITL has no CALLBACKS_URL: set it to where the chat's URLs are, and `callbacks/`, "
            "such as https://site.example/callbacks/"
        )
    return f"{base.rstrip('/')}/{_signer().sign_object([run, name, id])}"


def read_callback(token: str) -> Callback:
    """Return what the last part of a callback URL stands for.

    Raises:
        NotFound: it is not one of ours.
    """
    try:
        run, name, id = _signer().unsign_object(token)
    except BadSignature:
        raise NotFound("There is no such callback.") from None
    return Callback(UUID(run), name, id)


def _signer() -> Signer:
    return Signer(sep=SEPARATOR, salt="sessions_app.callbacks")
