"""The results that the probes must have, whatever happens: pure functions of the message."""

from collections.abc import Callable

from tests.support.calls import parse


def answer_to(message_id: str, question: str) -> str:
    """Return the person's answer to a question of that message's run; no two are the same."""
    if question.startswith("prompt-") and "approve" in message_id:
        return "continue" if int(question[7:]) % 2 else "cancel"
    return f"{question}/{message_id}"


def output_of(text: str, message_id: str) -> str:
    """Return the output of that message's run."""
    name, arguments, options = parse(text)
    return _OUTPUT[name](message_id, *arguments, **options)


def _ask(message_id: str, *questions: str) -> str:
    return "|".join(answer_to(message_id, question) for question in questions)


def _words(letter: str, first: int, count: int) -> str:
    return "".join(f"{letter}{number} " for number in range(first, first + count))


_OUTPUT: dict[str, Callable[..., str]] = {
    "echo": lambda _, text: text,
    "stream": lambda _, tokens, delay=0: _words("t", 0, tokens),
    "step": lambda _, count, seconds=0: _words("s", 1, count),
    "ask": lambda message_id, delay=0, timeout=None: _ask(message_id, "prompt-1"),
    "approve": lambda message_id, count: _ask(
        message_id, *(f"prompt-{number}" for number in range(1, count + 1))
    ),
    "ask_two": lambda message_id: _ask(message_id, "one?", "two?"),
    "stream_and_ask": lambda message_id, tokens: (
        _words("t", 0, tokens) + _ask(message_id, "prompt-1")
    ),
}
