"""Formulas and footnotes in an answer.

Formulas are LaTeX between dollars or brackets, as MathML, which browsers show. Texts without their
marks are parsed without them.

The mark of a footnote leads to the note, which stays where it is written: a text that grows is
shown in parts, so that nothing of it moves to its end. A mark whose note is not there yet is one
all the same if it is a number; other words in brackets may be anything.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import unescape
from xml.etree.ElementTree import Element, tostring

from django.utils.html import escape
from django.utils.translation import gettext
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

# Of formulas.
MARKS = re.compile(r"\$|\\[(\[]")
# Characters: a formula of people has a tenth. It takes 20 ms of processor time at most.
LONGEST = 1000
DEEPEST = 60  # elements within each other; browsers take long for more
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
# A space of a formula has one digit: nothing in it is larger than the page.
VALUE = re.compile(r"-?\d?(?:\.\d{1,4})?(?:em|ex|px|pt)?|[a-z -]{1,40}")
# Of the id of a footnote, which is in addresses.
LABEL = re.compile(r"[\w-]{1,40}", re.ASCII)


def enable_formulas(parser: MarkdownIt) -> None:
    """Have the parser find formulas. A dollar beside a space or a digit may be money."""
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
    env["work"].look()
    is_block = token.type != "math_inline"
    html = mathml(token.content.strip(), is_block=is_block)
    if html is None:
        return f"<code>{escape(token.markup + token.content + token.markup)}</code>"
    if token.type != "math_block":
        return html
    label = gettext("Formula")  # it scrolls by itself, so that it has to be reached by keyboard
    return f'<section tabindex="0" role="group" aria-label="{label}">{html}</section>\n'


@lru_cache(maxsize=512)
def mathml(latex: str, *, is_block: bool) -> str | None:
    """Convert a formula; None for one that is too long, too deep or no LaTeX."""
    if len(latex) > LONGEST:
        return None
    try:
        root = convert_to_element(latex, display="block" if is_block else "inline")
        _clean(root, DEEPEST)
    except Exception as error:  # noqa: BLE001 - of a text of anybody, a converter may raise any
        log.debug("formula.not_shown", error=type(error).__name__)
        return None
    return tostring(root, encoding="unicode")


def _clean(element: Element, depth: int) -> None:
    """Have text be text, which the converter writes with references, and sizes be small."""
    if not depth:
        raise RecursionError
    element.text = unescape(element.text or "")
    for name, value in list(element.attrib.items()):
        if not VALUE.fullmatch(value):
            del element.attrib[name]
    for child in element:
        _clean(child, depth - 1)


def enable_footnotes(parser: MarkdownIt) -> None:
    """Have the parser find footnotes."""
    footnote_plugin(parser, inline=False, move_to_end=False, always_match_refs=True)
    parser.core.ruler.after("block", "note_labels", _note_labels)
    parser.add_render_rule("footnote_ref", _mark)
    parser.add_render_rule("footnote_reference_open", _open)
    parser.add_render_rule("footnote_reference_close", lambda *_: "</section>\n")


def _note_labels(state: StateCore) -> None:
    """Keep the labels of the notes that are there, before marks are added to them."""
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
    return f"note-{env['place']}-{label}"
