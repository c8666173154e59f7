"""A short run of what `make chaos` does for long, with a seed that strikes in many ways."""

from pathlib import Path

import pytest

from tests.chaos.chaos import run
from tests.chaos.one_process import HOUR, OneProcess

pytestmark = [
    pytest.mark.local_only(reason="the crash matrix has the faults of several processes"),
    pytest.mark.timeout(240),
]
SEED, SECONDS, USERS = 52, 12, 8


@pytest.mark.slow
async def test_one_process_survives_every_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OneProcess(tmp_path / "p") as form:
        wrong = await run(form, SEED, SECONDS, USERS)
    report = capsys.readouterr().out
    assert not wrong, report
    noted = [float(line.split()[-1]) for line in form.diary.read_text().splitlines()]
    jumped = max(noted) - min(noted) > HOUR
    assert jumped or "clock" not in report  # where something is left out, others strike
