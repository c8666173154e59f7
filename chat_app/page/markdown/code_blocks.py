"""Code in an answer: its language, a button that copies it, and colours.

The colours are a few CSS classes, so that long code has few elements.
"""

import atexit
import sys
import threading
from functools import lru_cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from subprocess import Popen

from django.utils.html import escape
from pygments.lexers import get_all_lexers

from chat_app.page.markdown import painter, work

# Text in the first line of a code fence that continues the code of the text sent before.
REST = "(continued)"

# Seconds after which an unresponsive painter process is replaced.
PAINTER_TIMEOUT = 10.0

# Names of languages in Pygments: only the common ones, not all that Pygments knows.
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


def figure(code: str, info: str, *, is_coloured: bool, is_whole: bool) -> str:
    """Render a block of code; `info` is the text after its fence.

    A growing block is rendered again and again, so it has no button, which would lose the focus.
    `is_coloured`: the code gets colours.
    """
    words = info.split()
    word = words[0] if words else ""
    language, name = _ALIASES.get(word.lower(), ("", word))
    html = (language and is_coloured and _in_colours(language, code)) or escape(code)
    button = "<button></button>" if is_whole else ""
    begin = f"<figure><figcaption>{escape(name)}{button}</figcaption>"
    if words[-1:] == [REST]:
        begin = '<figure class="rest">'
    return f"{begin}<pre><code>{html}</code></pre></figure>\n"


def _in_colours(language: str, code: str) -> str | None:
    """Render code in colours; None if that is too much work for the block or for the page."""
    page = work.current()
    if not page.may_colour:
        return None
    try:
        html, seconds = _paint(language, code)
    except OSError:  # on failure, show the code without colours
        return None
    page.count_colouring(seconds)
    return html


@lru_cache(maxsize=512)
def _paint(language: str, code: str) -> tuple[str | None, float]:
    """Return the code's HTML, or None if that takes too long, and the seconds used.

    The cache serves further tabs and reloads, which show the same code.
    """
    return _painter.paint(language, code)


class _Painter:
    """The client of the painter process, which starts with the first code and after a failure."""

    def __init__(self) -> None:
        self._child: tuple[Popen[bytes], Connection] | None = None
        self._lock = threading.Lock()

    def paint(self, language: str, code: str) -> tuple[str | None, float]:
        """Colour the code. Blocks: call this in a thread.

        Raises:
            OSError: the process cannot start, or does not answer.
        """
        with self._lock:
            self._child = self._child or _start()
            _, connection = self._child
            try:
                connection.send((language, code))
                if not connection.poll(PAINTER_TIMEOUT):
                    raise TimeoutError
                html, seconds = connection.recv()
            except (OSError, EOFError) as error:
                self.stop()
                raise BrokenPipeError from error
        return html, seconds

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            process, connection = self._child
            self._child = None
            connection.close()
            process.kill()
            process.wait()


def _start() -> "tuple[Popen[bytes], Connection]":
    parent_end, child_end = Pipe()
    # Use -P: otherwise imports look into the script's folder first, which has a `markdown` module.
    command = [sys.executable, "-P", painter.__file__, str(child_end.fileno())]
    with child_end:
        return Popen(command, pass_fds=[child_end.fileno()]), parent_end  # noqa: S603 - our own program


_painter = _Painter()
atexit.register(_painter.stop)
