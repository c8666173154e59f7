"""The encryption of tokens at rest: with SECRET_KEY, for each person by a key of their own.

Tokens that were encrypted with a key of SECRET_KEY_FALLBACKS can still be read.
"""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

from sessions_app.models.people import UserId

SALT = "chat_app.contrib.oauth.encryption"


def encrypt(user: UserId, text: str) -> str:
    """Encrypt a text for a person's row."""
    return _fernet(user).encrypt(text.encode()).decode()


def decrypt(user: UserId, encrypted: str) -> str | None:
    """Decrypt a text of a person's row; None if it was encrypted with none of the keys."""
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
