"""Processes that end by themselves are started again, as by a process manager.

The other tests count on it.
"""

import os
import signal

import pytest

from sessions_app.contrib.testing.polling import until_true
from tests.cluster import faults
from tests.cluster.cluster import Cluster

pytestmark = [pytest.mark.cluster_only("it is about several processes"), pytest.mark.timeout(300)]


@pytest.mark.slow
async def test_a_process_that_begins_before_postgresql_is_up_is_started_again(
    cluster: Cluster,
) -> None:
    worker, other = cluster.workers
    await faults.kill(other)
    await faults.kill(cluster.postgresql)
    os.kill(worker.pid, signal.SIGKILL)  # nobody has asked the test's node for it
    starts = len(worker.lives)
    await until_true(lambda: len(worker.lives) > starts + 1, 60)  # it ends, as there is no database
    await faults.recover(cluster.postgresql, again=True)
    cluster.until("the worker works", lambda: worker.pid in cluster.working())
    assert not other.up
    cluster.heal()
