"""Markdown made safe: what a workflow writes is shown, and never runs, loads or asks anything.

Two walls: the parser takes no HTML, and an allow-list cleans what it made.
"""

import unicodedata
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

SCHEMES = ("http", "https", "mailto")
TAGS = {
    *("p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "a", "code", "pre"),
    *("blockquote", "ul", "ol", "li", "div", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
# What can be wider than the page scrolls by itself, and so has to be reached by keyboard.
SCROLLS = {
    "pre": {"tabindex": "0"},
    "div": {"tabindex": "0", "role": "group", "aria-label": "Table"},
}
JOINER = "\u200d"


def render(text: str, references: Mapping[str, Any] | None = None) -> SafeString:
    """The Markdown as safe HTML. Images become links: loading one would tell its host who reads.

    `references` are links that are defined elsewhere.
    """
    html = nh3.clean(
        _parser.render(text, {"references": dict(references or {})}),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=set(SCHEMES),
        link_rel="noopener nofollow",
        set_tag_attribute_values=SCROLLS,
    )
    return mark_safe(html)  # noqa: S308 - cleaned by the allow-list above


def visible(text: str) -> SafeString:
    """The text as HTML, with characters that would hide or reorder something shown by their code.

    For what a person decides on: a right-to-left mark can make one amount read as another.
    """
    pieces = []
    for before, character in zip(" " + text, text, strict=False):
        if _hides(character) and not (character == JOINER and ord(before) > 0x20FF):
            name = escape(unicodedata.name(character, "control character").lower())
            code = f"U+{ord(character):04X}"
            pieces.append(f'<span class="hidden-character" title="{name}">{code}</span>')
        else:
            pieces.append(character if character.isalnum() else escape(character))
    return mark_safe("".join(pieces))  # noqa: S308 - escaped character by character


def _hides(character: str) -> bool:
    return character not in "\n\t\r" and unicodedata.category(character) in ("Cf", "Cc")


def _is_safe_link(url: str) -> bool:
    scheme, colon, _ = url.strip().partition(":")
    return bool(colon) and scheme.lower() in SCHEMES


def _image_as_link(
    self: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: Any,
    env: MutableMapping[str, Any],
) -> str:
    token = tokens[index]
    alt = self.renderInlineAsText(token.children or [], options, env)
    url = str(token.attrGet("src") or "")
    return f'<a href="{escape(url)}">{escape(alt or url)}</a>'


def _adapt(state: StateCore) -> None:
    """Headings go below the page's own; alignment needs no style attribute."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        elif token.type in ("th_open", "td_open") and "style" in token.attrs:
            token.attrs["align"] = str(token.attrs.pop("style")).removeprefix("text-align:")


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _is_safe_link  # type: ignore[method-assign] # the documented way
    parser.core.ruler.push("adapt", _adapt)
    parser.add_render_rule("image", _image_as_link)
    parser.add_render_rule("table_open", lambda *_: "<div><table>\n")
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


_parser = _make_parser()
