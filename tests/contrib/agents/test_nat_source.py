"""Tests of the key `nat` of a workflows file, without the toolkit."""

from pathlib import Path

import pytest

from tests.runtime.runs.test_config import GOOD, complaint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD + "    authenticate: a.b\n",
            "FILE, line 3: workflows.calculator.nat: Field required",
        ),
        (
            GOOD + "  refunds:\n    nat: config.yml\n",
            "FILE, line 5: workflows.refunds.nat: sessions_app.contrib.agents.nat needs the NeMo "
            "Agent Toolkit 1.9 (nvidia-nat-core): pip install 'django-durable-hitl[nat]'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in complaint(tmp_path, text)
