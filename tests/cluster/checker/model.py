"""The results that the probes must have, whatever happens: pure functions of the message."""

Words = list[str]


def answer_to(message_id: str, question: str) -> str:
    """Return the person's answer to a question of that message's run; no two are the same."""
    if question.startswith("prompt-") and "approve" in message_id:
        return "continue" if int(question[7:]) % 2 else "cancel"
    return f"{question}/{message_id}"


def output_of(text: str, message_id: str) -> str:
    """Return the output of that message's run."""
    word, _, rest = text.partition(" ")
    return _OUTPUT[word](rest, message_id)


def _echo(rest: str, message_id: str) -> str:
    return rest


def _stream(rest: str, message_id: str) -> str:
    return "".join(f"t{number} " for number in range(int(rest.split()[0])))


def _step(rest: str, message_id: str) -> str:
    return "".join(f"s{number} " for number in range(1, int(rest.split()[0]) + 1))


def _ask(rest: str, message_id: str) -> str:
    return answer_to(message_id, "prompt-1")


def _approve(rest: str, message_id: str) -> str:
    numbers = range(1, int(rest) + 1)
    return "|".join(answer_to(message_id, f"prompt-{number}") for number in numbers)


def _two(rest: str, message_id: str) -> str:
    return "|".join(answer_to(message_id, question) for question in ("one?", "two?"))


def _textask(rest: str, message_id: str) -> str:
    return _stream(rest, message_id) + _ask(rest, message_id)


_OUTPUT = {
    "echo": _echo,
    "stream": _stream,
    "slowstream": _stream,
    "step": _step,
    "ask": _ask,
    "slowask": _ask,
    "approve": _approve,
    "two": _two,
    "textask": _textask,
}
