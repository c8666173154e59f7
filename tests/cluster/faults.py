"""What happens to a process, to Redis or to PostgreSQL, and what its surroundings do about it."""

import asyncio
from collections.abc import Awaitable, Callable

from sessions_app.operations.local_services.servers import PostgreSQL, Redis
from tests.cluster.node import Node

# Longer than the silence after which others take over, and what they need for it.
FREEZE = 12.0  # seconds
# Until a process manager starts what has ended.
RESTART_AFTER = 1.0

Target = Node | PostgreSQL | Redis
Fault = Callable[[Target], Awaitable[None]]


async def kill(target: Target) -> None:
    """SIGKILL to all its processes."""
    await asyncio.to_thread(target.kill)


async def freeze(target: Target) -> None:
    """SIGSTOP to all its processes."""
    await asyncio.to_thread(target.freeze)


async def terminate(target: Target) -> None:
    """SIGTERM: a service stops at once, a process in its own time."""
    if isinstance(target, Node):
        target.terminate()
    else:
        await asyncio.to_thread(target.stop)


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
