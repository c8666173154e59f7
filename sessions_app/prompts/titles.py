"""The titles that are made of the beginning of a text."""

import re

# Of Markdown: code, what is strong, and the number signs of a heading.
MARKS = re.compile(r"(?<!\w)(`+|\*\*)(?=\S)(?P<text>.+?)(?<=\S)\1(?!\w)|^#{1,6} +")
LOOKED_AT = 400  # characters of a line: of each mark without its pair all of them are read


def without_marks(line: str) -> str:
    """Return a line without the marks of Markdown, which a title shows as they are."""
    title = MARKS.sub(lambda match: match["text"] or "", line[:LOOKED_AT])
    return title + line[LOOKED_AT:] if title else line
