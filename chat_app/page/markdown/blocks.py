"""The places where an answer can be cut, so that each part renders as it does in the whole.

An answer grows at its end. What is above its last block never changes again, so it is rendered and
sent once, however long the answer becomes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from chat_app.page.markdown import syntax, work
from chat_app.page.markdown.code_blocks import REST
from sessions_app.json_types import JsonObject

# Characters of a block; one that is longer is cut. Browsers lay out a block as a whole.
LONGEST = 8192

TABLE = "table"
FENCE = r"(?:`{3,9}|~{3,9})[\w+#-]{0,20}"
# What a part may begin inside of: a fence by its first line, or a table.
INSIDE = re.compile(rf"(?:{TABLE}|{FENCE})?", re.ASCII)

_LINE_END = re.compile(r"\r\n?|\n")
_FENCE = re.compile(FENCE, re.ASCII)
_ITEM = re.compile(r"\n(?=(?:[-*+]|[0-9]{1,9}[.)])[ \t])")
_PIPE = re.compile(r"(?<!\\)\|")


class Definitions(NamedTuple):
    """The links that a text defines, and the labels of its footnotes."""

    references: JsonObject
    labels: frozenset[str]


NOTHING_DEFINED = Definitions({}, frozenset())


class Cut(NamedTuple):
    """A text that is cut into its finished parts and its growing end.

    `above` are parts, as Markdown to render each by itself; what changes yet begins at `at`,
    `inside` of something. `defined` is what is defined anywhere in the text.
    """

    above: list[str]
    at: int
    inside: str
    defined: Definitions


def cut(text: str, inside: str = "") -> Cut:
    """Cut a text, which may begin inside of something, before its last block."""
    head = opening_text(inside, text)
    whole = head + text
    lines = [0, *(end.end() for end in _LINE_END.finditer(whole))]
    env: JsonObject = {"work": work.current()}
    try:
        # The last line may yet become anything: the one above it decides nothing either.
        parser = _formula_parser if syntax.MARKS.search(whole) else _parser
        tokens = parser.parse(whole[: lines[-1]], env)
    except work.TooMuchWork:  # nor will its parts be rendered
        tokens = []
    blocks = [(lines[token.map[0]], token) for token in tokens if token.level == 0 and token.map]
    blocks = blocks or [(0, Token("paragraph_open", "p", 1))]
    ends = [start for start, _ in blocks[1:]] + [len(whole)]
    above, prefix, begin = [], "", 0
    for (start, block), end in zip(blocks, ends, strict=True):
        for at in _cuts(whole, max(start, len(head)), end, block):
            above.append(prefix + whole[begin:at])
            inside = _inside(block)
            prefix, begin = opening_text(inside, whole[at:]), at
    last = blocks[-1][0]
    if last > begin:
        above.append(prefix + whole[begin:last])
        begin, inside = last, ""
    defined = Definitions(env.get("references", {}), frozenset(env.get("labels", ())))
    return Cut(above, max(0, begin - len(head)), inside, defined)


def opening_text(inside: str, text: str) -> str:
    """Return what must stand before a text that begins inside of something."""
    if inside == TABLE:
        row = text.partition("\n")[0].strip().removeprefix("|").removesuffix("|")
        columns = len(_PIPE.split(row))
        return f"|{' |' * columns}\n|{'-|' * columns}\n"
    return f"{inside} {REST}\n" if inside else ""


def _cuts(text: str, start: int, end: int, block: Token) -> Iterator[int]:
    """Yield where a block that is too long is cut: between items, lines, or at least words."""
    is_list = block.type in ("bullet_list_open", "ordered_list_open")
    while end - start > LONGEST:
        window = text[start : start + LONGEST]
        items = [match.end() for match in _ITEM.finditer(window)] if is_list else []
        start += (
            items[-1] if items else (window.rfind("\n") + 1 or window.rfind(" ") + 1 or LONGEST)
        )
        yield start


def _inside(block: Token) -> str:
    """Return what the rest of a block is inside of."""
    if block.type == "table_open":
        return TABLE
    if block.type == "fence":
        fence = _FENCE.match(f"{block.markup[:9]}{block.info.strip()}")
        return fence[0] if fence else ""
    return ""


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    work.limit(parser)
    syntax.enable_footnotes(parser)
    return parser


_parser, _formula_parser = _make_parser(), _make_parser()
syntax.enable_formulas(_formula_parser)
