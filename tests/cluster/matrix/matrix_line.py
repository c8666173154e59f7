"""A line of the crash matrix: a fault to a target, while people are in all situations."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from sessions_app.contrib.testing.polling import until_true
from tests.cluster import faults
from tests.cluster.checker.checker import violations
from tests.cluster.cluster import Cluster
from tests.cluster.collect_history import history
from tests.cluster.matrix.situations import BRIEF, LASTING, PASSING, STILL, Missed, Scene
from tests.cluster.node import Node

# Signals: of a crash, of a freeze, and of an end in good order.
LESS_SUDDEN = pytest.mark.beyond("a service that is frozen or told to end costs only time")
KINDS = ["kill", *(pytest.param(kind, marks=LESS_SUDDEN) for kind in ("stop", "term"))]
# A busy machine may be too slow for the first, and then tries the next.
PACES = (1, 3, 9)


@asynccontextmanager
async def scene(cluster: Cluster) -> AsyncIterator[Scene]:
    """People in all situations, in the hands of the first worker; all workers stand still.

    When they went on to their ends, all that happened is looked at.
    """
    async with AsyncExitStack() as stack:
        try:
            scene = await _set(cluster, stack)
            yield scene
        except AssertionError as error:
            raise AssertionError(f"{error}\n{cluster.tails()}") from None
    wrong = violations(history(cluster, scene.everybody, faults=1))
    assert not wrong, "\n".join([*wrong, cluster.tails()])


async def _set(cluster: Cluster, stack: AsyncExitStack) -> Scene:
    for pace in PACES:
        scene = await stack.enter_async_context(Scene(cluster, pace=pace))
        try:
            await _bring(cluster, scene)
        except Missed as error:
            missed = error
            for worker in cluster.workers:
                worker.thaw()
            await scene.to_the_end()
        else:
            return scene
    raise AssertionError(missed)


async def _bring(cluster: Cluster, scene: Scene) -> None:
    host, *others = cluster.workers
    for other in others:  # so that the one has all the hosts
        other.freeze()
    await scene.bring(LASTING)
    await scene.bring(PASSING)
    await scene.bring(BRIEF)
    host.freeze()
    await scene.bring(STILL)
    scene.check()


async def suffer(
    scene: Scene,
    kind: str,
    target: faults.Target,
    *,
    again: bool = True,
    frozen_for: float = faults.FREEZE,
) -> None:
    """Have it happen, let the workers go on, and drive all to their ends.

    What was killed or ended is started again if it is wanted.
    """
    await faults.FAULTS[kind](target)
    for worker in scene.cluster.workers:
        if not (worker is target and kind == "stop"):
            worker.thaw()
    recovery = asyncio.create_task(faults.recover(target, again=again, frozen_for=frozen_for))
    await scene.to_the_end()
    await recovery


def close_codes(scene: Scene) -> set[int]:
    """Return the codes with which the people's sockets were closed."""
    return {code for one in scene.everybody for view in one.views for code in view.close_codes}


async def until_logged(node: Node, pattern: str, since: int, timeout: float = 60) -> None:
    """Wait until the process logs it, in what it printed after so many characters."""
    await until_true(lambda: re.search(pattern, node.log[since:]), timeout)
