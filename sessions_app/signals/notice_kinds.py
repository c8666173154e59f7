"""The kinds of notices (mails, webhooks) of applications, by which operators' pages describe them.

An application adds a kind in `AppConfig.ready()`: `add_kind(NoticeKind(…))`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class NoticeKind:
    """A kind of notices, identified by a key in the dictionary `about` of a notice.

    `describe` turns the key's value into words. With `is_personal`, the value is the primary key of
    a user as a text, and `describe` gets the user's name, or "" for a deleted user.
    """

    key: str
    title: Promise | str
    plural: Promise | str
    describe: Callable[[str], str]
    is_personal: bool = False


kinds: dict[str, NoticeKind] = {}


def add_kind(kind: NoticeKind) -> None:
    """Add a kind, replacing any with the same key."""
    kinds[kind.key] = kind
