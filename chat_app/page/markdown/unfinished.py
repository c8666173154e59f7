"""The end of a growing text that is held back: marks, which mean nothing before they are whole."""

import re

# A row, a heading, a fence; or marks that may become one, a list or a rule.
_BLOCK = re.compile(r"[ \t>]*(?:\||#{1,6}|`{3}|~{2}|[-*+_=:`|~ ]+$|\d{1,9}[.)]?\s*$)")
_CLOSING = re.compile(r" {0,3}(?:`+|~+)\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DELIMITERS = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\||$)")
_CODE = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_INLINE = (
    re.compile(r"`"),
    re.compile(r"!?\[[^\]\n]{0,200}(?:\](?:\([^)\s]{0,500})?)?$"),
    re.compile(r"(?<![\w*])\*(?![\s*])[^*]*$"),
    re.compile(r"(?<![\w_])_(?![\s_])[^_]*$"),
    re.compile(r"(?<!~)~$|\\$"),
    re.compile(r"(?<![\w$\\])\$(?![\s\d$])[^$]*$"),
    re.compile(r"\\[(\[](?:(?!\\[)\]]).)*$", re.DOTALL),
    re.compile(r"&#?\w{0,20}$"),
    re.compile(r"(?<![(<])https?://[^\s<>]{0,500}$"),
)
_PAIRS = ("**", "__", "~~", "$$")
# Characters; a mark that is so far back and has no other is none.
_FAR = 500


def finish_block(text: str, inside: str = "") -> str:
    """Return the last block of a text, which may begin in something, without its open end."""
    start = text.rfind("\n") + 1
    above, line = text[:start], text[start:]
    if _in_fence(above, inside):
        return above if _CLOSING.match(line) else text
    if _BLOCK.match(line):
        text, line = above, ""
    if not line:
        text = _without_header(text, inside)
    return text[: _first_open_mark(text)]


def _in_fence(lines: str, inside: str) -> bool:
    """Return whether the next line is code."""
    fence = ""
    for line in [inside, *lines.splitlines()]:
        match = _FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
    return bool(fence)


def _without_header(text: str, inside: str) -> str:
    """Remove a line that becomes the head of a table by the next one."""
    *before, last, _ = ["", "", *text.split("\n")]
    if inside or not last.lstrip().startswith("|") or _DELIMITERS.match(last):
        return text
    is_first = not before[-1].lstrip().startswith("|")
    return text[: len(text) - len(last) - 1] if is_first else text


def _first_open_mark(text: str) -> int:
    """Find the first mark that has no partner yet; else the end."""
    start = text.rfind("\n\n") + 1
    masked_text = _CODE.sub(lambda match: "x" * len(match[0]), text[start:])
    places = [match.start() for mark in _INLINE if (match := mark.search(masked_text))]
    places += [masked_text.rindex(pair) for pair in _PAIRS if masked_text.count(pair) % 2]
    first = min((at for at in places if len(masked_text) - at < _FAR), default=len(masked_text))
    return start + first
