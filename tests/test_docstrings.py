"""First sentences of docstrings stand alone: a tooltip and `help()` show no more of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.formless
ROOT = Path(__file__).parent.parent
PACKAGES = ("sessions_app", "chat_app", "natproject", "tests", "bench")
# Docstrings of errors are what people read.
MESSAGES = ROOT / "sessions_app" / "errors.py"
LONGEST = 100
# Ruff asks for an imperative (D401), and so refuses articles; not these.
NO_BEGINNING = re.compile(
    r"(?:what|those|these|they|them|it|its|that|this|who|whom|whose|whoever|of|as|how|where|when|why|with|for|by"
    r"|in|on|at|to|from|not|none|nothing|nobody|neither|all|such|which|whether|if|until|while|but|and|or|only"
    r"|see|also|each|one|some|another|there|since|before|after)\b",
    re.IGNORECASE,
)


def first_sentences() -> Iterator[tuple[str, str]]:
    """Yield each first sentence of the code, after its file and line."""
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        if path == MESSAGES or "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = " ".join((ast.get_docstring(node) or "").split())
                place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                yield place, re.split(r"(?<=[.:;!?])\s", text, maxsplit=1)[0]


@pytest.mark.slow
def test_first_sentences_are_short_and_say_what_a_thing_is_or_does() -> None:
    sentences = list(first_sentences())
    assert sentences
    assert [one for one in sentences if NO_BEGINNING.match(one[1]) or len(one[1]) > LONGEST] == []
