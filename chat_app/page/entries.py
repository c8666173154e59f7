"""The links to pages of applications, on the settings page and in the sidebar.

An application adds a link in the `ready()` of its AppConfig: `settings_entries.add(MenuEntry(…))`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A link for signed-in people: title, URL, and whether the link is offered now."""

    title: Promise | str
    url_name: str
    is_offered: Callable[[], bool]


class Entries:
    """The entries of the installed applications, in the order of INSTALLED_APPS."""

    def __init__(self) -> None:
        self._by_url_name: dict[str, MenuEntry] = {}

    def add(self, entry: MenuEntry) -> None:
        """Add an entry; replace an entry with the same URL."""
        self._by_url_name[entry.url_name] = entry

    def offered(self) -> list[MenuEntry]:
        """List the entries that are offered now."""
        return [entry for entry in self._by_url_name.values() if entry.is_offered()]


settings_entries = Entries()
sidebar_entries = Entries()
