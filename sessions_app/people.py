"""People: what the runtime needs to know of a user."""

from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser


@dataclass(frozen=True, slots=True)
class Person:
    """A user: the owner of a conversation, or who answers. `id` is the primary key."""

    id: int
    username: str
    name: str = ""
    email: str = ""

    @classmethod
    def of(cls, user: AbstractBaseUser) -> "Person":
        """The person behind Django's user, of whatever model."""
        full_name = getattr(user, "get_full_name", str)
        email = getattr(user, user.get_email_field_name(), "")
        return cls(user.pk, user.get_username(), full_name(), email)
