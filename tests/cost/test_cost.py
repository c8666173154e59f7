"""The test that a change costs nothing that nobody has decided on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cost import figures
from tests.cost.counted_server import CountedServer, start_counted
from tests.cost.trips import count_trips
from tests.support.server import Template


@pytest.fixture
def counted(server_template: Template, tmp_path: Path) -> Iterator[CountedServer]:
    with start_counted(server_template, tmp_path) as counted:
        yield counted


@pytest.mark.every_form("the forms have different statements and different threads")
@pytest.mark.timeout(300)  # seconds, on a machine that has much else to do
def test_each_trip_costs_what_the_figures_say(counted: CountedServer) -> None:
    problems = figures.compare(count_trips(counted))
    assert not problems, f"\n{problems}"
