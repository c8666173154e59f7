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


def _echo(message_id: str, text: str) -> str:
    return text


def _stream(message_id: str, tokens: int, delay: float = 0) -> str:
    return "".join(f"t{number} " for number in range(tokens))


def _step(message_id: str, count: int, seconds: float = 0) -> str:
    return "".join(f"s{number} " for number in range(1, count + 1))


def _ask(message_id: str, delay: float = 0) -> str:
    return answer_to(message_id, "prompt-1")


def _approve(message_id: str, count: int) -> str:
    numbers = range(1, count + 1)
    return "|".join(answer_to(message_id, f"prompt-{number}") for number in numbers)


def _ask_two(message_id: str) -> str:
    return "|".join(answer_to(message_id, question) for question in ("one?", "two?"))


def _stream_and_ask(message_id: str, tokens: int) -> str:
    return _stream(message_id, tokens) + _ask(message_id)


_OUTPUT: dict[str, Callable[..., str]] = {
    "echo": _echo,
    "stream": _stream,
    "step": _step,
    "ask": _ask,
    "approve": _approve,
    "ask_two": _ask_two,
    "stream_and_ask": _stream_and_ask,
}
