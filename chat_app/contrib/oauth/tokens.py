"""The tokens of a grant: what a provider gives, and what is encrypted of it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from chat_app.contrib.oauth.encryption import decrypt, encrypt
from sessions_app.models.people import UserId


class Tokens(BaseModel):
    """The tokens of a grant. They are shown nowhere: see `repr`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    access: str = Field(repr=False, min_length=1)
    refresh: str = Field(default="", repr=False)
    # Neither is a secret, and each has a column of its own.
    expires_at: AwareDatetime | None = Field(default=None, exclude=True)
    # None where the provider does not say: then all that was asked for.
    scopes: list[str] | None = Field(default=None, exclude=True)

    def encrypt(self, user: UserId) -> str:
        """Encrypt the tokens for a person's row."""
        return encrypt(user, self.model_dump_json())

    @classmethod
    def decrypt(cls, user: UserId, encrypted: str) -> "Tokens | None":
        """Decrypt the tokens of a person's row; None if that cannot be done any more."""
        text = decrypt(user, encrypted)
        try:
            return None if text is None else cls.model_validate_json(text)
        except ValidationError:
            return None
