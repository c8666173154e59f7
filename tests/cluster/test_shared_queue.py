"""A project's Procrastinate beside ours, with kills: each executes its own jobs, and only those."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster import faults
from tests.cluster.checker.checker import violations
from tests.cluster.cluster import Cluster, Template
from tests.cluster.collect_history import history
from tests.cluster.node import Node
from tests.cluster.workload import Workload

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("one process has no queue"),
    pytest.mark.timeout(1200),
]

PEOPLE = 12
JOBS = "SELECT task_name, queue_name, status::text FROM procrastinate_jobs"
# A host of ours runs on, as it keeps its user's builder.
LEFT = f"""
    {JOBS} WHERE task_name IN ('host', 'clean', 'hitl.host', 'hitl.clean')
    AND (status = 'todo' OR status = 'doing' AND task_name <> 'hitl.host')
"""
SUSPECTS = "SELECT 1 FROM sessions_app_run WHERE crashes > 1 AND status = 'running'"
DEFER = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args)
    VALUES ('default', %s, jsonb_build_object('number', %s::int) || %s::jsonb)
"""
MINUTES = pytest.mark.beyond("eight minutes of kills beside another queue")


class SharedCluster(Cluster):
    """A cluster whose project has two workers of its own, which name their queue or none."""

    def __init__(self, template: Template, directory: Path, *, queues: list[str]) -> None:
        super().__init__(template, directory)
        self.env |= {
            "DJANGO_SETTINGS_MODULE": "tests.cluster.shop.settings",
            "SHOP_DIARY": str(directory / "shop.log"),
        }
        worker = ["manage.py", "procrastinate", "worker", *queues]
        self.shop = [
            Node(f"shop{number}", directory, worker, self.environment) for number in range(2)
        ]

    @property
    def nodes(self) -> list[Node]:
        return [*super().nodes, *self.shop]

    def notes(self) -> list[tuple[int, str]]:
        """Return the lines of the shop's diary, each with the process that wrote the line."""
        path = Path(self.env["SHOP_DIARY"])
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(int(pid), text) for pid, _, text in (line.partition(" ") for line in lines)]

    def drained(self) -> bool:
        """Return whether no job waits, and none of the project runs, periodic jobs aside."""
        return not self.rows(LEFT)


@pytest.fixture(params=[["-q", "default"], []], ids=["of a queue", "of all queues"])
async def shared(
    request: pytest.FixtureRequest,
    cluster_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SharedCluster]:
    directory = tmp_path_factory.mktemp("shared")
    cluster = SharedCluster(cluster_template, directory, queues=request.param)
    await asyncio.to_thread(cluster.__enter__)
    yield cluster
    await asyncio.to_thread(cluster.close)


@pytest.mark.parametrize("seconds", [30, pytest.param(480, marks=MINUTES)])
async def test_each_executes_its_own_jobs_while_workers_are_killed(
    shared: SharedCluster, seconds: float
) -> None:
    count = struck = 0
    rng = random.Random(58)
    end = time.monotonic() + seconds
    async with Workload(shared, PEOPLE, seed=58) as workload:
        while time.monotonic() < end:
            count += 1
            # A heartbeat of the project's worker comes each ten seconds: in the longest of its
            # jobs it is silent for longer than one of ours may be.
            lasting = f'{{"seconds": {rng.choice([0, 0.5, 9])}}}'
            await asyncio.to_thread(shared.execute, DEFER, "host", count, lasting)
            await asyncio.to_thread(shared.execute, DEFER, "clean", count, "{}")
            # Runs get on between two kills: one that dies three times without is suspended.
            await workload.until_messages(workload.messages + PEOPLE)
            await asyncio.to_thread(
                shared.until, "the runs get on", lambda: not shared.rows(SUSPECTS)
            )
            node = rng.choice([*shared.workers, *shared.shop])
            await faults.kill(node)
            await faults.recover(node, again=True)
            struck += 1
        await asyncio.to_thread(shared.until_up)
        await workload.finish()
    await asyncio.to_thread(shared.until, "both queues are empty", shared.drained, 90)
    ended = {text for _, text in shared.notes() if text.startswith("ended ")}
    statuses = Counter((job["task_name"], job["status"]) for job in shared.rows(JOBS))
    assert (len(ended), statuses["host", "succeeded"], statuses["clean", "failed"]) == (count,) * 3
    ours = {status for task, status in statuses if task.startswith("hitl.")}
    assert "failed" not in ours
    assert {pid for pid, _ in shared.notes()} <= {
        life.pid for node in shared.shop for life in node.lives
    }
    wrong = violations(history(shared, workload.people, faults=struck))
    assert not wrong, "\n".join([*wrong, shared.tails()])
