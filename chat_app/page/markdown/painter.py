"""The painter, a separate program beside the server that colours code (see `code_blocks`).

A lexer's pattern can take seconds on some texts, and blocks its process meanwhile; a signal can
interrupt only the main thread. The program imports nothing of the project, to start fast.
"""

import signal
import sys
import time
from contextlib import suppress
from functools import cache
from html import escape
from itertools import groupby
from multiprocessing.connection import Connection
from operator import itemgetter

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String, Token

# Seconds of processor time per block of code; typical code takes a tenth.
BLOCK_SECONDS = 0.2

# CSS classes by token type; the first match applies.
_CLASSES = {
    Comment: "code-comment",
    Generic.Inserted: "code-added",
    Generic.Deleted: "code-removed",
    Generic.Heading: "code-comment",
    Generic.Subheading: "code-comment",
    Generic.Prompt: "code-comment",
    Keyword: "code-keyword",
    Operator.Word: "code-keyword",
    Name.Tag: "code-keyword",
    Name.Attribute: "code-name",
    Name.Builtin: "code-name",
    Name.Class: "code-name",
    Name.Decorator: "code-name",
    Name.Function: "code-name",
    Number: "code-number",
    String: "code-string",
    Token: "",
}
CLASSES = {*_CLASSES.values()} - {""}


class ColouringTimeout(Exception):
    """The error that the time for a block of code is over."""


def main(descriptor: int) -> None:
    """Colour code until the server ends: receive language and code, send HTML and seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ignore Ctrl-C, which is for the server
    signal.signal(signal.SIGVTALRM, _stop)
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        while True:
            language, code = connection.recv()
            began = time.process_time()
            html = _in_time(language, code)
            connection.send((html, time.process_time() - began))


def _in_time(language: str, code: str) -> str | None:
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, BLOCK_SECONDS, BLOCK_SECONDS)
        html = _colour(lexer, code)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except ColouringTimeout:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return None
    return html


def _stop(*_: object) -> None:
    raise ColouringTimeout


def _colour(lexer: Lexer, code: str) -> str:
    class_pieces = ((_class(token), text) for token, text in lexer.get_tokens(code))
    classes = groupby(class_pieces, key=itemgetter(0))
    runs = ((class_, escape("".join(text for _, text in pieces))) for class_, pieces in classes)
    return "".join(
        f'<span class="{class_}">{text}</span>' if class_ else text for class_, text in runs
    )


@cache
def _class(token: object) -> str:
    return next(name for kind, name in _CLASSES.items() if token in kind)


if __name__ == "__main__":
    main(int(sys.argv[1]))
