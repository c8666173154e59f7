"""The tokens of a grant, and their encryption.

Tokens are encrypted at rest with a key per person, derived from SECRET_KEY. Rows encrypted with a
key of SECRET_KEY_FALLBACKS remain readable.
"""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sessions_app.models.people import UserId

# Salt of all stored rows, which must never change. The text is the former name of a module.
SALT = "chat_app.contrib.oauth.encryption"


def encrypt(user: UserId, text: str) -> str:
    """Encrypt a text for a person's row."""
    return _fernet(user).encrypt(text.encode()).decode()


def decrypt(user: UserId, encrypted: str) -> str | None:
    """Decrypt a text of a person's row. Return None if none of the keys fits."""
    try:
        return _fernet(user).decrypt(encrypted).decode()
    except InvalidToken:
        return None


def _fernet(user: UserId) -> MultiFernet:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    digests = [
        salted_hmac(SALT, str(user), secret=secret, algorithm="sha256").digest()
        for secret in secrets
    ]
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])


class Tokens(BaseModel):
    """The tokens of a grant. `repr` leaves the tokens out, so that they are shown nowhere."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    access: str = Field(repr=False, min_length=1)
    refresh: str = Field(default="", repr=False)
    # Not encrypted: `expires_at` and `scopes` are no secrets, and each has its own column.
    expires_at: AwareDatetime | None = Field(default=None, exclude=True)
    # Scopes; None if the provider does not list any, which means that all requested ones are
    # granted.
    scopes: list[str] | None = Field(default=None, exclude=True)

    def encrypt(self, user: UserId) -> str:
        """Encrypt the tokens for a person's row."""
        return encrypt(user, self.model_dump_json())

    @classmethod
    def decrypt(cls, user: UserId, encrypted: str) -> "Tokens | None":
        """Decrypt the tokens of a person's row; None if the key or the content is invalid."""
        text = decrypt(user, encrypted)
        try:
            return None if text is None else cls.model_validate_json(text)
        except ValidationError:
            return None
