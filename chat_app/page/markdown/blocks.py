"""The positions where an answer can be cut, so that each part renders as it does in the whole.

An answer grows at its end. The blocks above the last one never change, so each is rendered and sent
once, however long the answer becomes. Incomplete marks at the end, which have no meaning yet, may
be held back.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from chat_app.page.markdown import syntax, work
from chat_app.page.markdown.code_blocks import REST
from sessions_app.json_types import JsonObject

# Maximum characters of a Markdown block. Longer ones are cut: browsers lay out a block as a whole.
MAX_BLOCK_LENGTH = 8192

TABLE = "table"
FENCE = r"(?:`{3,9}|~{3,9})[\w+#-]{0,20}"
# Format of the block inside which a text may begin: "table", a fence's first line, or none.
INSIDE = re.compile(rf"(?:{TABLE}|{FENCE})?", re.ASCII)

_LINE_END = re.compile(r"\r\n?|\n")
_ITEM = re.compile(r"\n(?=(?:[-*+]|[0-9]{1,9}[.)])[ \t])")
_PIPE = re.compile(r"(?<!\\)\|")

# Pattern of a line that is a table row, heading, fence, list item or rule, or may become one.
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
# Characters from an unpaired mark to the end of the text, beyond which the mark is plain text.
_FAR = 500


class Definitions(NamedTuple):
    """The links that a text defines, and the labels of its footnotes."""

    references: JsonObject
    labels: frozenset[str]


NOTHING_DEFINED = Definitions({}, frozenset())


class Cut(NamedTuple):
    """A text that is cut into its finished parts and its growing end.

    `above` are the finished parts, each Markdown of its own; the growing end begins at `at`, in the
    table or fence `inside`. `defined` are the links and footnotes of the whole text.
    """

    above: list[str]
    at: int
    inside: str
    defined: Definitions


def cut(text: str, inside: str = "") -> Cut:
    """Cut a text before its last block. The text may begin inside a table or fence."""
    head = opening_text(inside, text)
    whole = head + text
    lines = [0, *(end.end() for end in _LINE_END.finditer(whole))]
    env: JsonObject = {"work": work.current()}
    try:
        # Parse without the last line. Until it ends, the line above may still change its kind, too.
        parser = _formula_parser if syntax.FORMULA_MARKS.search(whole) else _parser
        tokens = parser.parse(whole[: lines[-1]], env)
    except work.MarkdownTimeout:  # too much work: show the text unrendered
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
    """Return the text to insert before a part that begins in a table or fence."""
    if inside == TABLE:
        row = text.partition("\n")[0].strip().removeprefix("|").removesuffix("|")
        columns = len(_PIPE.split(row))
        return f"|{' |' * columns}\n|{'-|' * columns}\n"
    return f"{inside} {REST}\n" if inside else ""


def _cuts(text: str, start: int, end: int, block: Token) -> Iterator[int]:
    """Yield the positions to cut a long block at: between items, lines, or at least words."""
    is_list = block.type in ("bullet_list_open", "ordered_list_open")
    while end - start > MAX_BLOCK_LENGTH:
        window = text[start : start + MAX_BLOCK_LENGTH]
        items = [match.end() for match in _ITEM.finditer(window)] if is_list else []
        start += (
            items[-1]
            if items
            else (window.rfind("\n") + 1 or window.rfind(" ") + 1 or MAX_BLOCK_LENGTH)
        )
        yield start


def _inside(block: Token) -> str:
    if block.type == "table_open":
        return TABLE
    if block.type == "fence":
        fence = re.match(FENCE, f"{block.markup[:9]}{block.info.strip()}", re.ASCII)
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


def finish_block(text: str, inside: str = "") -> str:
    """Return a text's last block without unpaired marks; it may begin in a table or fence."""
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
    fence = ""
    for line in [inside, *lines.splitlines()]:
        match = _FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
    return bool(fence)


def _without_header(text: str, inside: str) -> str:
    """Remove a last line that may become a table's header with the next line."""
    *before, last, _ = ["", "", *text.split("\n")]
    if inside or not last.lstrip().startswith("|") or _DELIMITERS.match(last):
        return text
    is_first = not before[-1].lstrip().startswith("|")
    return text[: len(text) - len(last) - 1] if is_first else text


def _first_open_mark(text: str) -> int:
    """Find the position of the first unpaired mark, or the end of the text."""
    start = text.rfind("\n\n") + 1
    masked_text = _CODE.sub(lambda match: "x" * len(match[0]), text[start:])
    starts = [match.start() for mark in _INLINE if (match := mark.search(masked_text))]
    starts += [masked_text.rindex(pair) for pair in _PAIRS if masked_text.count(pair) % 2]
    first = min((at for at in starts if len(masked_text) - at < _FAR), default=len(masked_text))
    return start + first
