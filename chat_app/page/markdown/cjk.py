"""Marks and links beside Chinese, Japanese and Korean, which have no spaces between words.

CommonMark shows the asterisks of `**文。**次`: a mark behind punctuation ends nothing unless a
space or more punctuation follows. Here a mark may also begin or end beside a character of these
scripts, as a draft for CommonMark has it (github.com/tats-u/markdown-cjk-friendly). A link ends
before their punctuation.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, emphasis, strikethrough

Rule = Callable[[StateInline, bool], bool]

WIDE = {"W", "F", "H"}  # of Unicode's East Asian widths
PUNCTUATION = re.compile("[、。，．；：！？「」『』（）【】《》〈〉〔〕〖〗［］｛｝…“”‘’]")  # noqa: RUF001 - these are meant


def enable(parser: MarkdownIt) -> None:
    """Have the parser find emphasis and the ends of links beside these scripts."""
    parser.inline.ruler.at("emphasis", _beside_cjk(emphasis.tokenize))
    parser.inline.ruler.at("strikethrough", _beside_cjk(strikethrough.tokenize))
    linkify: Any = parser.linkify  # it has no types
    length_of = linkify.default_schemas["http:"]["validate"]

    def length_until_punctuation(_: object, text: str, pos: int) -> int:
        end = pos + int(length_of(text, pos))
        found = PUNCTUATION.search(text, pos, end)
        return (found.start() if found else end) - pos

    linkify.add("http:", {"validate": length_until_punctuation})


def _beside_cjk(tokenize: Rule) -> Rule:
    def rule(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.delimiters)
        if not tokenize(state, silent):
            return False
        before, after = state.src[start - 1 : start], state.src[state.pos : state.pos + 1]
        if state.src[start] != "_" and (_is_cjk(before) or _is_cjk(after)):
            for delimiter in state.delimiters[count:]:
                delimiter.open |= bool(after.strip())
                delimiter.close |= bool(before.strip())
        return True

    return rule


def _is_cjk(character: str) -> bool:
    """Return whether a character, or none, is of these scripts; an emoji, as wide, is not."""
    if not character or unicodedata.category(character) == "So":
        return False
    return unicodedata.east_asian_width(character) in WIDE
