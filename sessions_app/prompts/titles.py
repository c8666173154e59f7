"""Titles made from the beginning of a text."""

import re

# Matches Markdown for code, bold text and headings.
MARKDOWN_MARKS = re.compile(r"(?<!\w)(`+|\*\*)(?=\S)(?P<text>.+?)(?<=\S)\1(?!\w)|^#{1,6} +")
LOOKED_AT = 400  # maximum characters to search, as an unpaired mark costs a full scan


def without_marks(line: str) -> str:
    """Return a line without Markdown marks, which a title would show literally."""
    title = MARKDOWN_MARKS.sub(lambda match: match["text"] or "", line[:LOOKED_AT])
    return title + line[LOOKED_AT:] if title else line
