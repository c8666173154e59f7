"""The faults of a process, of Redis and of PostgreSQL, and how their surroundings react."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import psycopg

from natproject.cluster.servers import PostgreSQL, Redis
from sessions_app.contrib.testing.polling import until_true
from tests.cluster.cluster import RESTART_AFTER
from tests.cluster.node import Node

# Longer than the silence after which others take over, and what they need for it.
FREEZE = 12.0  # seconds
# Who is amid a transaction comes first.
BACKENDS = """
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    ORDER BY state <> 'active', state = 'idle', random()
"""

Target = Node | PostgreSQL | Redis
Fault = Callable[[Target], Awaitable[None]]


async def kill(target: Target) -> None:
    """SIGKILL to all its processes."""
    await asyncio.to_thread(target.kill)


async def freeze(target: Target) -> None:
    """SIGSTOP to all its processes."""
    await asyncio.to_thread(target.freeze)


async def terminate(target: Target) -> None:
    """Send SIGTERM: a service stops at once, a process in its own time."""
    if isinstance(target, Node):
        target.terminate()
    else:
        await asyncio.to_thread(target.stop)


async def crash(target: Target) -> None:
    """PostgreSQL ends without a checkpoint (`pg_ctl stop -m immediate`): its backends say so."""
    assert isinstance(target, PostgreSQL)
    os.kill(target.pid, signal.SIGQUIT)
    await until_true(lambda: not target.running, every=0.01)
    await kill(target)  # until its children are gone


async def kill_backend(target: Target) -> None:
    """SIGKILL to one backend, as by the kernel where memory runs out: PostgreSQL ends all others
    and recovers by itself.
    """
    assert isinstance(target, PostgreSQL)

    def strike() -> None:
        with psycopg.connect(target.url(), autocommit=True) as connection:
            [pid] = connection.execute(BACKENDS).fetchone() or ()
            os.kill(pid, signal.SIGKILL)

    await asyncio.to_thread(strike)


async def recover(target: Target, *, again: bool, frozen_for: float = FREEZE) -> None:
    """Let what was frozen go on after a while; start what has ended, if it is wanted `again`."""
    if isinstance(target, Node):
        if target.frozen:
            await asyncio.sleep(frozen_for)
            target.thaw()
        else:
            await asyncio.to_thread(target.reap)
            if again:
                await asyncio.sleep(RESTART_AFTER)
                await asyncio.to_thread(target.start)
    elif target.running:
        await asyncio.sleep(frozen_for)
        await asyncio.to_thread(target.thaw)
    else:
        await asyncio.sleep(RESTART_AFTER)
        await asyncio.to_thread(target.start)


FAULTS: dict[str, Fault] = {"kill": kill, "stop": freeze, "term": terminate}
# What PostgreSQL alone suffers; of a killed backend it recovers by itself.
CRASHES: dict[str, Fault] = {"immediate": crash, "backend": kill_backend}
