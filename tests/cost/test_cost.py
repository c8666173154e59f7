"""The tests that a change costs nothing that nobody has decided on."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cost import figures
from tests.cost.counted_server import CountedServer, start_counted
from tests.cost.trips import count_trips
from tests.support.polling import until
from tests.support.running_form import CLUSTER
from tests.support.server import Template

IDLE = 20  # seconds
# Statements in a second: of one process; of a web process and a worker.
MOST_IDLE = 12 if CLUSTER else 3


@pytest.fixture
def counted(server_template: Template, tmp_path: Path) -> Iterator[CountedServer]:
    with start_counted(server_template, tmp_path) as counted:
        yield counted


@pytest.mark.every_form("the forms have different statements and different threads")
@pytest.mark.timeout(300)  # seconds, on a machine that has much else to do
def test_each_trip_costs_what_the_figures_say(counted: CountedServer) -> None:
    problems = figures.compare(count_trips(counted))
    assert not problems, f"\n{problems}"


@pytest.mark.slow
@pytest.mark.every_form("the forms have different periodic work")
def test_an_idle_server_asks_its_database_little(counted: CountedServer) -> None:
    if not CLUSTER:  # a process alone deletes old data as it starts, notices last, and then daily
        until(lambda: any("pendingsignal" in key for _, key in counted.look(in_trip=False)))
    before = counted.look(in_trip=False)
    time.sleep(IDLE)  # not for a condition: what is counted is what happens in this time
    asked = counted.look(in_trip=False)
    asked.subtract(before)
    statements = Counter({text: n for (kind, text), n in asked.items() if kind == "statements"})
    lines = [f"{count} {text[:100]}" for text, count in statements.most_common()]
    assert statements.total() <= MOST_IDLE * IDLE, "\n".join(lines)
