"""The pytest plugin, an entry point of the package: a fixture, an option, recorded runs.

pytest loads the plugin in every project with the package, before Django is set up. So the plugin
imports no runtime code before a test runs.
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

    `async with host_workflow("vacation") as hosting:` has the arguments of `Hosting`; see
    `sessions_app.contrib.testing.hosting`.
    """
    hosting = import_module("sessions_app.contrib.testing.hosting").Hosting
    return partial(hosting, replay_everywhere=request.config.getoption("replay_everywhere"))


class HistoryFile(pytest.File):
    """The file of a recorded run, which pytest collects as one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield HistoryReplay.from_parent(self, name="replay")


class HistoryReplay(pytest.Item):
    """The test that replays a recorded run with the current workflow code."""

    def runtest(self) -> None:
        """Fail if the replay would suspend or fail the run; report harmless differences."""
        replays = import_module("sessions_app.contrib.replay.history_replay")
        for difference in asyncio.run(replays.replay_history(self.path)):
            self.add_report_section("call", "differences", difference)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """Show only the message of a NotReplayable error, without a traceback."""
        if type(excinfo.value).__name__ == "NotReplayable":
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"replay of {self.path.name}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> HistoryFile | None:
    folders: list[Path] = parent.config.getini("replay_histories")
    if file_path.suffix == ".json" and file_path.parent in folders:
        return HistoryFile.from_parent(parent, path=file_path)
    return None
