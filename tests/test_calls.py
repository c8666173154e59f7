"""Messages to the workflow of the tests, which are calls: a wrong one ends with a sentence."""

import pytest

from tests.support.hosting import Hosting
from tests.support.workflows import probe

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.formless]
assert probe  # importing it declares it


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("stream(tokens=2, delay=0)", "t0 t1 "),
        ('echo(\n"over two lines")', "over two lines"),
        ("run_child(\"echo('nested')\")", "nested"),
        ("echo hello", "A message is one call with literal arguments, such as stream(tokens=3)."),
        ("stream(tokens=2 * 2)", "A message is one call with literal arguments"),
        ("stream(2); echo(2)", "A message is one call with literal arguments"),
        ("slowstream(tokens=2)", "There is no slowstream(); there are agent, approve, ask, "),
        ('stream(tokens="2")', "stream(): tokens: Input should be a valid integer."),
        ("stream()", "stream(): tokens: Missing required argument."),
        ("ask(seconds=2)", "ask(): seconds: Unexpected keyword argument."),
    ],
)
async def test_a_message_is_a_call_and_a_wrong_one_ends_with_a_sentence(
    text: str, output: str
) -> None:
    async with Hosting("probe") as hosting:
        assert (await hosting.reply_to(text)).startswith(output)
