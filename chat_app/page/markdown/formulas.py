"""Formulas in an answer: LaTeX between dollars or brackets, as MathML, which browsers show.

Texts without their marks are parsed without them.
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
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log

log = Log(__name__)

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


def enable(parser: MarkdownIt) -> None:
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
