"""The characters of which a reader sees nothing, or which have other characters read wrongly."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

# Unicode's Default_Ignorable_Code_Point, of which `unicodedata` knows nothing.
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
# Symbols whose picture is empty: of Braille, and of music.
BLANK = frozenset((0x2800, 0x1D159))
JOINER, AS_PICTURE = "\u200d", "\ufe0f"


@lru_cache(maxsize=4096)
def is_hidden(character: str) -> bool:
    """Return whether a reader of a text would not notice the character, or take it for another.

    Those are controls, formats, unassigned and private characters, and all spaces and line ends
    but for the common ones: a space, a tab, and a line feed.
    """
    if character in " \n\t":
        return False
    code = ord(character)
    return unicodedata.category(character)[0] in "CZ" or code in IGNORABLE or code in BLANK


def has_hidden(text: str) -> bool:
    """Return whether a text has characters that a reader would not notice."""
    return any(map(is_hidden, text))


def is_seen(text: str) -> bool:
    """Return whether a reader sees anything of a text."""
    return not all(character.isspace() or is_hidden(character) for character in text)


def cut(text: str, length: int) -> str:
    """Return at most so many characters of a text, and no half of a letter or a picture.

    Those of more characters than that are cut.
    """
    end = length
    while 0 < end < len(text) and (_continues(text[end]) or text[end - 1] == JOINER):
        end -= 1
    return text[: end or length]


def marks_in_words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each character of an author's words, and whether it is to be marked.

    Spaces of typography are not, nor what puts pictures together.
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
    """Return an author's words with the code of each hidden character in its place."""
    marks = marks_in_words(text)
    return "".join(f"[U+{ord(one):04X}]" if is_marked else one for one, is_marked in marks)


def _continues(character: str) -> bool:
    """Return whether a character belongs to the one before it: an accent, the colour of a skin."""
    return character == JOINER or unicodedata.category(character) in ("Mn", "Mc", "Me", "Sk")


def _is_picture(character: str) -> bool:
    return character == AS_PICTURE or unicodedata.category(character) in ("So", "Sk")
