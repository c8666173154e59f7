"""The plugin of pytest, an entry point of the package: a fixture and an option.

pytest loads it in every project that has the package, before Django is set up; so it imports
nothing of the runtime, and does nothing until a test asks for the fixture.
"""

from functools import partial
from importlib import import_module
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--replay-everywhere`."""
    parser.getgroup("workflows").addoption(
        "--replay-everywhere",
        action="store_true",
        help="park and replay every run after each of its steps, and once more before it ends",
    )


@pytest.fixture
def host_workflow(transactional_db: None, request: pytest.FixtureRequest) -> Any:
    """Host a workflow in the event loop of the test.

    `async with host_workflow("vacation") as hosting:` takes what `Hosting` takes, and gives it; see
    `sessions_app.testing.hosting`.
    """
    hosting = import_module("sessions_app.testing.hosting").Hosting
    return partial(hosting, replay_everywhere=request.config.getoption("replay_everywhere"))
