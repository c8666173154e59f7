"""The search of the admin's long lists: names in all rows by indexes, words in the newest rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, cast

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin.read_only import USERNAME, ReadOnlyAdmin
from sessions_app.models.people import users

# There is no index of words: so many of the newest rows are read for them.
SEARCHED = 10_000
TEXTS = _("messages, questions, titles, user names")
HELP = _("Finds in all rows: {names}. Finds words in the newest {count}: {texts}.")


def help_text(names: object, texts: object) -> Any:
    """Say what a search finds by its name, and in which texts it looks for words."""
    count = lazy(number_format, str)(SEARCHED, force_grouping=True)
    return format_lazy(HELP, names=names, texts=texts, count=count)


class SearchedAdmin(ReadOnlyAdmin):
    """An admin page of many rows. `search_fields` are read in the newest rows that the filters
    leave.
    """

    # What it finds, in words. Django's `search_help_text` would take the field its label.
    searched = ""
    # The indexed column that says which rows are the newest.
    newest = "created_at"
    # What names a row, and whose it is: compared as a whole, in all rows.
    names: ClassVar[tuple[str, ...]] = ("pk",)
    owners: ClassVar[tuple[str, ...]] = ()
    # The texts of other rows, of which one row may have many, with the times of those.
    texts: ClassVar[dict[str, str]] = {}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return each matching row once, and note on the request how far back words were
        looked for.
        """
        if not search_term:
            return queryset, False
        oldest = self._find_oldest(queryset)
        cast(Any, request).searched_back_to = oldest
        words, _may_repeat = super().get_search_results(
            request, queryset.filter(_since(self.newest, oldest)), search_term
        )
        ways = [words, *self._having(queryset, search_term, oldest)]
        ways += self._named(queryset, search_term)
        # Without DISTINCT, which compares whole rows, JSON too.
        keys, *others = (way.order_by().values("pk") for way in ways)
        return queryset.filter(pk__in=keys.union(*others)), False

    def _find_oldest(self, rows: QuerySet[Any]) -> datetime | None:
        times = rows.order_by(f"-{self.newest}").values_list(self.newest, flat=True)
        oldest: datetime | None = times[SEARCHED - 1 : SEARCHED].first()
        return oldest

    def _having(
        self, rows: QuerySet[Any], term: str, oldest: datetime | None
    ) -> Iterator[QuerySet[Any]]:
        """Yield the newest rows that have another one with all words in its text.

        That one is no older, which lets the database read few of them.
        """
        for text, time in self.texts.items():
            words = [Q(**{f"{text}__icontains": word}) for word in term.split()]
            yield rows.filter(_since(self.newest, oldest), _since(time, oldest), *words)

    def _named(self, rows: QuerySet[Any], term: str) -> Iterator[QuerySet[Any]]:
        """Yield the rows that the whole term names, or whose owner it does."""
        for name in self.names:
            try:
                yield rows.filter(**{name: term})
            except ValidationError:  # an id has another form
                continue
        # As a list: a database that does not know how few they are would read all rows.
        people = list(users().filter(**{f"{USERNAME}__iexact": term}).values_list("pk", flat=True))
        for owner in self.owners if people else ():
            yield rows.filter(**{f"{owner}__in": people})


def _since(column: str, oldest: datetime | None) -> Q:
    return Q(**{f"{column}__gte": oldest}) if oldest else Q()
