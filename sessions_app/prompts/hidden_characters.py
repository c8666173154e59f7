"""The detection of invisible characters, and of those that make a text read differently."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

# Unicode's Default_Ignorable_Code_Point, a property that `unicodedata` lacks.
IGNORABLE = frozenset(
    code
    for first, last in (
        *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160)),
        *((0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E)),
        *((0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
        *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)
# Symbols with an empty glyph: Braille blank and musical null notehead.
BLANK = frozenset((0x2800, 0x1D159))
JOINER, AS_PICTURE = "\u200d", "\ufe0f"


@lru_cache(maxsize=4096)
def is_hidden(character: str) -> bool:
    """Return whether a reader of a text would overlook or mistake the character.

    Hidden characters are controls, formats, unassigned and private characters, and all spaces and
    line ends except a space, a tab, and a line feed.
    """
    if character in " \n\t":
        return False
    code = ord(character)
    return unicodedata.category(character)[0] in "CZ" or code in IGNORABLE or code in BLANK


def has_hidden(text: str) -> bool:
    """Return whether a text has hidden characters."""
    return any(map(is_hidden, text))


def is_seen(text: str) -> bool:
    """Return whether a text has a visible character."""
    return not all(character.isspace() or is_hidden(character) for character in text)


def cut(text: str, length: int) -> str:
    """Return at most `length` characters of a text, without splitting a letter or an emoji.

    A letter or emoji longer than `length` is split.
    """
    end = length
    while 0 < end < len(text) and (_continues(text[end]) or text[end - 1] == JOINER):
        end -= 1
    return text[: end or length]


def marks_in_words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each character of an author's text, with True if it is hidden and must be marked.

    Typographic spaces, and joiners within an emoji, are not marked.
    """
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        is_marked = is_hidden(character)
        if character == JOINER:
            is_marked = not (_is_picture(before) and _is_picture(after))
        elif character == AS_PICTURE:
            is_marked = not _is_picture(before)
        elif character == "\r" or unicodedata.category(character) == "Zs":
            is_marked = False
        yield character, is_marked


def mark(text: str) -> str:
    """Return an author's text with hidden characters replaced by their codes."""
    marks = marks_in_words(text)
    return "".join(f"[U+{ord(one):04X}]" if is_marked else one for one, is_marked in marks)


def _continues(character: str) -> bool:
    """Return whether a character belongs to the one before, as an accent or a skin colour does."""
    return character == JOINER or unicodedata.category(character) in ("Mn", "Mc", "Me", "Sk")


def _is_picture(character: str) -> bool:
    return character == AS_PICTURE or unicodedata.category(character) in ("So", "Sk")
