"""A run that was parked many times is not taken for one that crashes."""

import pytest

from sessions_app.models import Run
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting, running

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="six_at_once", title="Six at once")
async def six_at_once(message: Message, context: Context) -> str:
    answers = await context.ask_all([TextPrompt(text=f"{number}?") for number in range(6)])
    return "|".join(answer.text for answer in answers)


async def test_each_of_many_answers_may_bring_a_run_back_only_to_wait_for_the_next() -> None:
    async with running(Hosting("six_at_once", park_after=0.02)) as (hosting, run):
        for number, prompt in enumerate(await hosting.prompts(run, 6)):
            await hosting.status(run, Run.Status.WAITING)  # again: as it was parked
            await hosting.answer_any(str(number), prompt)
        assert await hosting.result(run) == "0|1|2|3|4|5"
