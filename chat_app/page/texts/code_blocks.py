"""Code in an answer: which language it is, a button that copies it, and colours.

The colours are classes, for the style sheet; they are few, so that long code has few elements.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.utils.html import escape
from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String, Token

# Stands in the first line of code whose beginning is in a part above.
REST = "(continued)"

# By the names that Pygments has for them. Not all that it knows: its patterns are to be quick with
# any text, and so only those are used that many people use.
LANGUAGES = {
    *("Bash", "Bash Session", "C", "C#", "C++", "CSS", "Dart", "Diff", "Django/Jinja", "Docker"),
    *("Elixir", "Go", "GraphQL", "HTML", "HTTP", "Haskell", "INI", "JSON", "JSX", "Java"),
    *("JavaScript", "Kotlin", "Lua", "Makefile", "Markdown", "PHP", "Perl", "PowerShell"),
    *("Protocol Buffer", "Python", "Ruby", "Rust", "S", "SCSS", "SQL", "Scala", "Swift", "TOML"),
    *("TSX", "Terraform", "TypeScript", "XML", "YAML"),
}
_ALIASES = {
    alias: (aliases[0], "R" if name == "S" else name)
    for name, aliases, _, _ in get_all_lexers(plugins=False)
    if name in LANGUAGES
    for alias in aliases
}
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


def figure(code: str, info: str, *, is_coloured: bool, is_whole: bool) -> str:
    """HTML of a block of code; `info` is what stands behind its fence.

    One to which more comes is drawn again and again: it has no button yet, which would lose the
    focus, and is `is_coloured` later.
    """
    words = info.split()
    word = words[0] if words else ""
    language, name = _ALIASES.get(word.lower(), ("", word))
    html = _coloured(language, code) if language and is_coloured else escape(code)
    button = "<button></button>" if is_whole else ""
    begin = f"<figure><figcaption>{escape(name)}{button}</figcaption>"
    if words[-1:] == [REST]:
        begin = '<figure class="rest">'
    return f"{begin}<pre><code>{html}</code></pre></figure>\n"


@lru_cache(maxsize=128)
def _coloured(language: str, code: str) -> str:
    """Several tabs, and each reload, show the same code."""
    classes = groupby(_pieces(language, code), key=itemgetter(0))
    runs = ((each, escape("".join(text for _, text in pieces))) for each, pieces in classes)
    return "".join(f'<span class="{each}">{text}</span>' if each else text for each, text in runs)


def _pieces(language: str, code: str) -> Iterator[tuple[str, str]]:
    """The code in pieces, each with its class."""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    for token, text in lexer.get_tokens(code):
        yield _class(token), text


@cache
def _class(token: Any) -> str:
    return next(name for kind, name in _CLASSES.items() if token in kind)
