"""The plugin of pytest, an entry point of the package: a fixture, an option, recorded runs.

pytest loads it in every project that has the package, before Django is set up; so it imports
nothing of the runtime before a test runs.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--replay-everywhere`, and `replay_histories` for the configuration file."""
    parser.addini(
        "replay_histories",
        type="paths",
        help="folders of files by manage.py export_history; each is a test",
    )
    parser.getgroup("workflows").addoption(
        "--replay-everywhere",
        action="store_true",
        help="park and replay every run after each of its steps, and once more before it ends",
    )


@pytest.fixture
def host_workflow(transactional_db: None, request: pytest.FixtureRequest) -> Any:
    """Host a workflow in the event loop of the test.

    `async with host_workflow("vacation") as hosting:` takes what `Hosting` takes, and gives it; see
    `sessions_app.contrib.testing.hosting`.
    """
    hosting = import_module("sessions_app.contrib.testing.hosting").Hosting
    return partial(hosting, replay_everywhere=request.config.getoption("replay_everywhere"))


class History(pytest.File):
    """A recorded run: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield HistoryReplay.from_parent(self, name="replay")


class HistoryReplay(pytest.Item):
    """Replays the run with the workflow that is declared now."""

    def runtest(self) -> None:
        """Fail where it would be suspended, or fail; report what differs without harm."""
        replays = import_module("sessions_app.contrib.replay.history_replay")
        for difference in asyncio.run(replays.replay_history(self.path)):
            self.add_report_section("call", "differences", difference)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """Show the reason alone, where there is one for people."""
        if type(excinfo.value).__name__ == "NotReplayable":
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"replay of {self.path.name}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> History | None:
    folders: list[Path] = parent.config.getini("replay_histories")
    if file_path.suffix == ".json" and file_path.parent in folders:
        return History.from_parent(parent, path=file_path)
    return None
