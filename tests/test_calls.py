"""Messages to the workflow of the tests, which are calls: a wrong one fails its run."""

import pytest

from sessions_app.models import Run
from tests.support.calls import FORM
from tests.support.hosting import Hosting, problem
from tests.support.workflows import probe

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.formless]
assert probe  # importing it declares it


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("stream(tokens=2, delay=0)", "t0 t1 "),
        ('echo(\n"over two lines")', "over two lines"),
        ("run_child(\"echo('nested')\")", "nested"),
        ("echo hello", FORM),
        ("2 * 2", FORM),
        ("'(a", FORM),
    ],
)
async def test_a_message_is_a_call_and_other_text_ends_with_a_sentence(
    text: str, output: str
) -> None:
    async with Hosting("probe") as hosting:
        assert await hosting.reply_to(text) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("straem(tokens=3)", "There is no straem(); there are "),
        ("stream(tokens=2 * 2)", FORM),
        ("stream(2); echo(2)", FORM),
        ("stream(tokens=3", FORM),
        ('stream(tokens="2")', "stream(): tokens: Input should be a valid integer."),
        ("stream()", "stream(): tokens: Missing required argument."),
        ("ask(seconds=2)", "ask(): seconds: Unexpected keyword argument."),
    ],
)
async def test_a_wrong_call_fails_its_run_and_says_why(text: str, message: str) -> None:
    async with Hosting("probe") as hosting:
        run = await hosting.until_ended(await hosting.submit(text))
        assert run.status == Run.Status.FAILED
        assert problem(run)["message"].startswith(message)
