"""Footnotes: a mark in the text leads to the note, which stays where it is written.

A text that grows is shown in parts, so that nothing of it moves to its end. A mark whose note is
not there yet is one all the same if it is a number; other words in brackets may be anything.
"""

import re
from collections.abc import Sequence

from django.utils.html import escape
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from sessions_app.json_types import JsonObject

# Of an id, which is in addresses.
LABEL = re.compile(r"[\w-]{1,40}", re.ASCII)


def enable(parser: MarkdownIt) -> None:
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
