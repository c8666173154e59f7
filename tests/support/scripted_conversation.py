"""A conversation with a hosted workflow: each prompt answered as the test says."""

from collections.abc import Mapping
from typing import Any

from sessions_app.models import Interaction, Run
from sessions_app.storage import reads
from tests.support.hosting import Hosting, until

Answers = Mapping[str, str | list[str]]


async def converse(hosting: Hosting, text: str, answers: Answers | None = None) -> str:
    """Send the text, answer each prompt by a word of its question, and return the output.

    Fails at a prompt that the answers do not know, and at a run that does not complete.
    """
    run = await hosting.submit(text)

    def news() -> Any:
        pending = Interaction.objects.filter(run=run, status="pending").order_by("position")
        ended = Run.objects.filter(pk=run, status__in=[*Run.FINISHED, Run.Status.SUSPENDED])
        return pending.first() or ended.first()

    while isinstance(found := await until(news), Interaction):
        given = answer_to(found.prompt["text"], answers or {})
        value, values = (None, given) if isinstance(given, list) else (given, None)
        settled = await hosting.answer(value, found, values=values)
        assert settled.outcome == "accepted", settled
    assert found.status == Run.Status.COMPLETED, found.error
    return await hosting.output(run)


def answer_to(question: str, answers: Answers) -> str | list[str]:
    """The answer whose key is in the question."""
    fitting = [value for key, value in answers.items() if key in question]
    assert fitting, f"no answer to {question!r}"
    return fitting[0]


async def prompts_asked(hosting: Hosting) -> list[dict[str, Any]]:
    """All prompts so far, in the order of asking."""
    return await reads.read(
        lambda: list(Interaction.objects.order_by("sequence").values_list("prompt", flat=True))
    )
