"""The painter, which colours code as a program of its own beside the server (see `code_blocks`).

With some texts a pattern of a lexer takes seconds, and nothing else runs in a process meanwhile; in
the main thread of one a signal ends it. It imports nothing of the project: it starts at once.
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

# Of processor time, for a block of code; what people write takes a tenth of it.
SECONDS = 0.2

# The first that a token belongs to decides.
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


class TooMuchWork(Exception):
    """The error that the time for a block of code is over."""


def main(descriptor: int) -> None:
    """Answer language and code by HTML, or None, and the seconds it took; end with the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: it is for the server
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
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)
        html = _colour(lexer, code)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except TooMuchWork:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return None
    return html


def _stop(*_: object) -> None:
    raise TooMuchWork


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
