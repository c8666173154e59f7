"""Formulas and footnotes in an answer.

Formulas are LaTeX between dollars or brackets, converted to MathML, which browsers show. Texts
without such marks are parsed without the formula rules.

A footnote's mark links to the note, which stays at its place in the text: a growing text is shown
in parts, so no note can move to the end. A number in brackets is a mark even before its note
exists; other labels need the note, because other brackets may be plain text.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import unescape
from xml.etree.ElementTree import Element, tostring

from django.utils.html import escape
from django.utils.translation import pgettext
from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.texmath import texmath_plugin

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log

log = Log(__name__)

# The opening marks of formulas.
FORMULA_MARKS = re.compile(r"\$|\\[(\[]")
# Maximum characters of a formula; a typical one has a tenth. The conversion takes at most 20 ms.
MAX_FORMULA_LENGTH = 1000
DEEPEST = 60  # maximum depth of nested elements; browsers are slow with deeper ones
TAGS = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub"),
    *("msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mstyle"),
    *("mpadded", "mphantom", "menclose"),
}
ATTRIBUTES = {
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": {"fence", "form", "largeop", "movablelimits", "separator", "stretchy"},
    "mfrac": {"linethickness"},
    "mspace": {"width"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"columnalign"},
    "menclose": {"notation"},
}
# Allowed attribute values: a length has one digit before the point, so none exceeds the page.
VALUE = re.compile(r"-?\d?(?:\.\d{1,4})?(?:em|ex|px|pt)?|[a-z -]{1,40}")
# Pattern of a footnote's label, which becomes part of URLs.
LABEL = re.compile(r"[\w-]{1,40}", re.ASCII)


def enable_formulas(parser: MarkdownIt) -> None:
    """Enable formulas in the parser. A dollar next to a space or a digit may be money."""
    dollarmath_plugin(
        parser, allow_labels=False, allow_space=False, allow_digits=False, double_inline=True
    )
    texmath_plugin(parser, "brackets")
    parser.block.ruler.disable("math_block_eqno")
    for rule in ("math_inline", "math_inline_double", "math_block"):
        parser.add_render_rule(rule, _formula)


def _formula(
    _: RendererHTML, tokens: Sequence[Token], index: int, __: object, env: JsonObject
) -> str:
    token = tokens[index]
    env["work"].check_time()
    is_block = token.type != "math_inline"
    html = mathml(token.content.strip(), is_block=is_block)
    if html is None:
        return f"<code>{escape(token.markup + token.content + token.markup)}</code>"
    if token.type != "math_block":
        return html
    # For `tabindex`, by which the keyboard can scroll a formula.
    label = pgettext("hitl", "Formula")
    return f'<section tabindex="0" role="group" aria-label="{label}">{html}</section>\n'


@lru_cache(maxsize=512)
def mathml(latex: str, *, is_block: bool) -> str | None:
    """Convert a formula; return None if it is too long, too deep or invalid LaTeX."""
    if len(latex) > MAX_FORMULA_LENGTH:
        return None
    try:
        root = convert_to_element(latex, display="block" if is_block else "inline")
        _clean(root, DEEPEST)
    except Exception as error:  # noqa: BLE001 - the converter may raise any error on arbitrary text
        log.debug("formula.not_shown", error=type(error).__name__)
        return None
    return tostring(root, encoding="unicode")


def _clean(element: Element, depth: int) -> None:
    """Replace the converter's character references by text, and remove large sizes."""
    if not depth:
        raise RecursionError
    element.text = unescape(element.text or "")
    for name, value in list(element.attrib.items()):
        if not VALUE.fullmatch(value):
            del element.attrib[name]
    for child in element:
        _clean(child, depth - 1)


def enable_footnotes(parser: MarkdownIt) -> None:
    """Enable footnotes in the parser."""
    footnote_plugin(parser, inline=False, move_to_end=False, always_match_refs=True)
    parser.core.ruler.after("block", "note_labels", _note_labels)
    parser.add_render_rule("footnote_ref", _mark)
    parser.add_render_rule("footnote_reference_open", _open)
    parser.add_render_rule("footnote_reference_close", lambda *_: "</section>\n")


def _note_labels(state: StateCore) -> None:
    """Record the labels of existing notes, before marks without notes are added."""
    refs = state.env.get("footnotes", {}).get("refs", {})
    state.env["labels"] = {*state.env.get("labels", ()), *(name.removeprefix(":") for name in refs)}


def _mark(_: RendererHTML, tokens: Sequence[Token], index: int, __: object, env: JsonObject) -> str:
    label = str(tokens[index].meta["label"])
    if not LABEL.fullmatch(label) or not (label.isdecimal() or label in env["labels"]):
        return escape(f"[^{label}]")
    return f'<sup><a href="#{_id(label, env)}">{label}</a></sup>'


def _open(_: RendererHTML, tokens: Sequence[Token], index: int, __: object, env: JsonObject) -> str:
    label = str(tokens[index].meta["label"])
    id_ = f' id="{_id(label, env)}"' if LABEL.fullmatch(label) else ""
    return f'<section{id_} class="footnote"><sup>{escape(label)}</sup>\n'


def _id(label: str, env: JsonObject) -> str:
    return f"note-{env['id_prefix']}-{label}"
