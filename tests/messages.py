"""`make messages`: the words of the chat go into the catalogs of its languages, and are compiled.

Gettext's own tools need not be installed: Babel reads and writes its files. New words stand without
a translation in `chat_app/locale/*/LC_MESSAGES/django.po`, where it is written by hand; then the
command is run again. Both files of a language are committed, so that a clone has them at once.

All our words have the context `CONTEXT`, because Django merges the catalogs of all applications: a
word without a context would change the labels of the project. The few without one are words of
Django, which have their translation in Django's catalogs.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation import template

from natproject.settings.env import ROOT
from sessions_app import errors

LOCALES = ROOT / "chat_app" / "locale"
CONTEXT = "hitl"
# What people read; of the admin what is marked.
TEMPLATES = (
    "templates/*.html",
    "templates/chat_app/**/*.html",
    "chat_app/contrib/**/*.html",
    "chat_app/contrib/**/*.txt",
    "templates/admin/**/*.html",
    "sessions_app/contrib/**/*.html",
    "templates/registration/*.html",
    "templates/sessions_app/*.html",
)
CODE = ("chat_app/**/*.py", "sessions_app/**/*.py", "natproject/admin_site.py")
# Words that stand in no call: docstrings that errors say, and the default of a field.
OTHER_WORDS = (
    (errors.Busy.__doc__, "sessions_app/errors.py"),
    (errors.StorageUnavailable.__doc__, "sessions_app/errors.py"),
    ("The time for an answer is over.", "sessions_app/prompts/base.py"),
)
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
UNDATED = datetime(2026, 1, 1, tzinfo=UTC)
# A word as `gettext` is asked for it, its context, and where it stands.
Word = tuple[str | tuple[str, ...], str | None, str]


def words() -> Iterator[Word]:
    """Yield all words."""
    for pattern in (*TEMPLATES, *CODE):
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text()
            if path.suffix in (".html", ".txt"):
                # Of a template Django makes a text that reads like code, but for its indentation.
                code = template.templatize(text, origin=str(path)).splitlines()
                text = "\n".join(line.strip() for line in code)
            for _line, word, _comments, context in extract(
                "python", BytesIO(text.encode()), keywords=KEYWORDS
            ):
                yield word, context, str(path.relative_to(ROOT))
    for other, place in OTHER_WORDS:
        yield (other or "").strip(), CONTEXT, place


def collected() -> Catalog:
    """Return our words, without a translation."""
    catalog = Catalog(charset="utf-8")
    for word, context, place in words():
        if context:
            catalog.add(word, locations=[(place, 0)], context=context)
    return catalog


def words_of_django() -> set[tuple[str | tuple[str, ...], str]]:
    """Return the words that have their translation in Django's catalogs, and where each stands."""
    return {(word, place) for word, context, place in words() if not context}


def languages() -> list[str]:
    """Return the languages that there are catalogs of."""
    return sorted(path.name for path in LOCALES.iterdir())


def po(language: str) -> Path:
    """Return what translators write."""
    return LOCALES / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    """Return the catalog of a language, as it was written."""
    with po(language).open("rb") as file:
        catalog = read_po(file, locale=language)
    catalog.creation_date = catalog.revision_date = UNDATED  # or two clones would differ
    return catalog


def compiled(catalog: Catalog) -> bytes:
    """Return the catalog as Django reads it."""
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def update(language: str) -> None:
    """Take in new words, leave out those that are gone, and compile."""
    catalog = read(language)
    new = collected()
    new.creation_date = UNDATED
    catalog.update(new, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    with po(language).open("wb") as file:
        write_po(file, catalog, sort_output=True, include_lineno=False, width=100)
    po(language).with_suffix(".mo").write_bytes(compiled(catalog))


if __name__ == "__main__":
    for each in languages():
        update(each)
