"""Safe Markdown: a workflow's text is shown, but never runs code or loads anything.

There are two barriers: the parser accepts no HTML, and an allow-list cleans the parser's HTML.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import nh3
from django.utils.html import escape, linebreaks
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import pgettext
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, emphasis, strikethrough
from markdown_it.token import Token

from chat_app.page.icons import icon
from chat_app.page.markdown import painter, syntax, work
from chat_app.page.markdown.blocks import NOTHING_DEFINED, Definitions
from chat_app.page.markdown.code_blocks import figure
from chat_app.settings import ChatSettings
from sessions_app.json_types import JsonObject

SCHEMES = ("http", "https", "mailto")
TAGS = {
    *("p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "a", "code", "pre"),
    *("blockquote", "ul", "ol", "li", "div", "table", "thead", "tbody", "tr", "th", "td"),
    *("figure", "figcaption", "button", "span", "section", "sup", *syntax.TAGS),
}
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
    "section": {"id", "tabindex", "role", "aria-label"},
    "img": {"src", "alt"},
    **syntax.ATTRIBUTES,
}
# Allowed classes by element, so that a text cannot use other styles of the page.
CLASSES = {
    "span": {"task", "done", *painter.CLASSES},
    "figure": {"rest"},
    "li": {"task-item"},
    "section": {"footnote"},
}
# Attributes added by element: scrolling elements get a tab stop for the keyboard; lists, quotations
# and tables take the direction of their own text; code is not translated.
ADDED_ATTRIBUTES = {
    "pre": {"tabindex": "0", "translate": "no"},
    "code": {"translate": "no"},
    "div": {"tabindex": "0", "role": "group"},
    "img": {"loading": "lazy", "referrerpolicy": "no-referrer"},
    **{tag: {"dir": "auto"} for tag in ("ul", "ol", "blockquote", "table")},
}
# HTML that restores the icons of copy buttons and task marks, which the cleaning removes.
COPY_BUTTON = f'" class="quiet tool">{icon("copy")}</button>'
TASK_MARK = '{}">{}<span class="unseen">{}</span> </span>'
InlineRule = Callable[[StateInline, bool], bool]
WIDE = {"W", "F", "H"}  # East Asian widths in Unicode: wide, full width, half width
PUNCTUATION = re.compile("[、。，．；：！？「」『』（）【】《》〈〉〔〕〖〗［］｛｝…“”‘’]")  # noqa: RUF001 - intended
LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
TASK = re.compile(r"\[([ xX])\] ")


def render(
    text: str,
    defined: Definitions = NOTHING_DEFINED,
    *,
    id_prefix: str = "",
    is_coloured: bool = True,
    is_whole: bool = True,
) -> SafeString:
    """Render Markdown as safe HTML.

    An image becomes a link, as loading it would tell its host about the reader, unless the host is
    in IMAGE_ORIGINS.

    `defined` has the links and footnotes that earlier pieces of the same streamed text define. The
    ids of footnotes contain `id_prefix`, which all pieces share. `is_coloured`: code is coloured.
    `is_whole`: the text is complete. A text with too much work is shown unrendered.
    """
    origins = ChatSettings.load().IMAGE_ORIGINS
    env = {
        "images": tuple(f"{origin}/" for origin in origins),
        "references": dict(defined.references),
        "labels": defined.labels,
        "id_prefix": id_prefix,
        "is_coloured": is_coloured and is_whole,
        "is_whole": is_whole,
        "work": work.current(),
    }
    try:
        html = (_formula_parser if syntax.FORMULA_MARKS.search(text) else _parser).render(text, env)
    except work.MarkdownTimeout:
        html = linebreaks(text, autoescape=True)
    safe_html = nh3.clean(
        html,
        tags=TAGS | {"img"} if origins else TAGS,
        attributes=ATTRIBUTES,
        allowed_classes=CLASSES,
        url_schemes=set(SCHEMES),
        link_rel="noopener nofollow",
        set_tag_attribute_values={
            **ADDED_ATTRIBUTES,
            "div": {**ADDED_ATTRIBUTES["div"], "aria-label": pgettext("hitl", "Table")},
            "button": {"type": "button", "aria-label": pgettext("hitl", "Copy code")},
        },
    )
    # Replacing strings is safe: user text cannot match, because its `<` and `"` are escaped.
    for end, with_icon in (
        ('"></button>', COPY_BUTTON),
        ('task"></span>', TASK_MARK.format("task", icon("task"), pgettext("hitl", "to do"))),
        (
            'task done"></span>',
            TASK_MARK.format("task done", icon("done"), pgettext("hitl", "done")),
        ),
    ):
        safe_html = safe_html.replace(end, with_icon)
    return mark_safe(safe_html)  # noqa: S308 - cleaned by the allow-list above


def _is_safe_link(url: str) -> bool:
    scheme, colon, _ = url.strip().partition(":")
    return bool(colon) and scheme.lower() in SCHEMES


def _image(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: JsonObject
) -> str:
    token = tokens[index]
    alt = self.renderInlineAsText(token.children or [], options, env)
    url = str(token.attrGet("src") or "")
    if url.startswith(env["images"]):
        return f'<img src="{escape(url)}" alt="{escape(alt)}">'
    return f'<a href="{escape(url)}">{escape(alt or url)}</a>'


def _code(_: RendererHTML, tokens: Sequence[Token], index: int, __: object, env: JsonObject) -> str:
    token = tokens[index]
    return figure(
        token.content, token.info, is_coloured=env["is_coloured"], is_whole=env["is_whole"]
    )


def _adapt(state: StateCore) -> None:
    """Move headings a level below the page's own; align table cells by attribute, not by style."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        elif token.type in ("th_open", "td_open") and "style" in token.attrs:
            token.attrs["align"] = str(token.attrs.pop("style")).removeprefix("text-align:")


def _break_lines(state: StateCore) -> None:
    """Break the lines of table cells at `<br>`, the only way to write several lines in a cell."""
    for opening, cell in pairwise(state.tokens):
        if opening.type not in ("th_open", "td_open") or not cell.children:
            continue
        children = []
        for child in cell.children:
            pieces = LINE_BREAK.split(child.content) if child.type == "text" else [""]
            if len(pieces) == 1:
                children.append(child)
                continue
            for index, piece in enumerate(pieces):
                if index:
                    children.append(Token("hardbreak", "br", 0))
                children.append(Token("text", "", 0, content=piece))
        cell.children = children


def _show_tasks(state: StateCore) -> None:
    """Turn a list item that begins with `[ ]` or `[x]` into a task with a non-clickable mark."""
    for item, _, text in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if item.type != "list_item_open" or not text.children:
            continue
        first = text.children[0]
        if first.type == "text" and (task := TASK.match(first.content)):
            item.attrSet("class", "task-item")
            first.content = first.content[task.end() :]
            mark = Token("html_inline", "", 0)
            is_open = task[1] == " "
            mark.content = f'<span class="{"task" if is_open else "task done"}"></span>'
            text.children.insert(0, mark)


def _enable_cjk(parser: MarkdownIt) -> None:
    """Let the parser find marks and links next to Chinese, Japanese and Korean text.

    Those scripts have no spaces between words. CommonMark shows the asterisks of `**文。**次`: a
    mark after punctuation closes only before a space or more punctuation. Here a mark may begin or
    end next to a character of these scripts, too, as a draft for CommonMark proposes
    (github.com/tats-u/markdown-cjk-friendly). A link ends before their punctuation.
    """
    parser.inline.ruler.at("emphasis", _beside_cjk(emphasis.tokenize))
    parser.inline.ruler.at("strikethrough", _beside_cjk(strikethrough.tokenize))
    linkify: Any = parser.linkify  # the package linkify has no type annotations
    length_of = linkify.default_schemas["http:"]["validate"]

    def length_until_punctuation(_: object, text: str, pos: int) -> int:
        end = pos + int(length_of(text, pos))
        match = PUNCTUATION.search(text, pos, end)
        return (match.start() if match else end) - pos

    linkify.add("http:", {"validate": length_until_punctuation})


def _beside_cjk(tokenize: InlineRule) -> InlineRule:
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
    """Return whether a character is Chinese, Japanese or Korean; false for "" and for emoji."""
    if not character or unicodedata.category(character) == "So":
        return False
    return unicodedata.east_asian_width(character) in WIDE


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})  # type: ignore[union-attr] # it is installed
    work.limit(parser)
    parser.validateLink = _is_safe_link  # type: ignore[method-assign] # the documented way
    parser.core.ruler.push("adapt", _adapt)
    parser.core.ruler.before("text_join", "line_breaks", _break_lines)
    parser.core.ruler.push("tasks", _show_tasks)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", lambda *_: "<div><table>\n")
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    _enable_cjk(parser)
    syntax.enable_footnotes(parser)
    return parser


_parser, _formula_parser = _make_parser(), _make_parser()
syntax.enable_formulas(_formula_parser)
