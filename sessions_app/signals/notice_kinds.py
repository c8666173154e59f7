"""The kinds of notices: what the pages of operators say of those that an application puts off.

An application adds its own in the `ready()` of its AppConfig: `add_kind(NoticeKind(…))`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class NoticeKind:
    """A kind of notices: those whose `about` has this key.

    `describe` makes words of the value that stands there. Where `is_personal`, the value is the
    primary key of a user, as a text, and `describe` gets the name; empty for one who is deleted.
    """

    key: str
    title: Promise | str
    plural: Promise | str
    describe: Callable[[str], str]
    is_personal: bool = False


kinds: dict[str, NoticeKind] = {}


def add_kind(kind: NoticeKind) -> None:
    """Add a kind, in the place of one with the same key."""
    kinds[kind.key] = kind
