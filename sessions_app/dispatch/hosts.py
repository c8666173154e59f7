"""The hosts of this process: what every dispatcher that runs hosts here has in common."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from sessions_app import take_up, workers
from sessions_app.errors import BuilderFailed, SessionsError, UnknownWorkflow
from sessions_app.event_log import InteractionSettled, writer
from sessions_app.host import RETRY_AFTER, Host, Terms
from sessions_app.session import SessionManager
from sessions_app.take_up import Claim, Keeper
from sessions_app.workflows import registry

log = structlog.get_logger(__name__)


class Hosts:
    """One host a key, one session manager a workflow."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._hosts: dict[str, Host] = {}
        self._managers: dict[str, SessionManager] = {}
        self._manager_lock = asyncio.Lock()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._hosts.values()))

    def get(self, key: str) -> Host | None:
        """The host of the key, if it is here."""
        return self._hosts.get(key)

    def wake(self, key: str, settled: InteractionSettled | None = None) -> bool:
        """Tell the key's host that there is work. False if it is not here."""
        host = self._hosts.get(key)
        if host is not None:
            host.wake(settled)
        return host is not None

    def builders(self) -> dict[str, dict[str, Any]]:
        """The metrics of live per-user builders, by key."""
        return {
            f"user:{user_id}:{workflow}": info.metrics()
            for workflow, manager in self._managers.items()
            for user_id, info in manager.builders.items()
        }

    async def serve(self, key: str, claim: Claim | None = None) -> None:
        """Host the key until it needs none, or another has it. `claim`: see `take_up`.

        A host that the database let down closes its builder; the next one goes on as soon as the
        database is back.
        """
        kind, subject, workflow = key.split(":", 2)
        keeper = Keeper(key, workers.NAME, workflow, subject if kind == "user" else "")
        try:
            manager = await self._manager(workflow)
        except (UnknownWorkflow, BuilderFailed) as error:
            await self._refuse(keeper, claim, error)
            return
        blameless: set[UUID] = set()
        try:
            while not self.stopping:
                host = self._hosts[key] = Host(keeper, manager, self._terms, claim)
                host.blameless |= blameless
                await host.main()
                if host.dropped:
                    blameless = host.blameless
                    await asyncio.sleep(RETRY_AFTER)
                elif host.fenced or not host.woken:
                    break
        finally:
            # Nothing awaits between the last look at `woken` and this.
            self._hosts.pop(key, None)

    def stop(self) -> None:
        """Have all hosts let go in good order."""
        self.stopping = True
        for host in self._hosts.values():
            host.stop()

    async def close(self) -> None:
        """Close what the workflows have built, once the hosts have ended."""
        await asyncio.gather(*(manager.shutdown() for manager in self._managers.values()))

    async def _manager(self, workflow: str) -> SessionManager:
        async with self._manager_lock:
            if workflow not in self._managers:
                offered = registry.get(workflow)
                self._managers[workflow] = await SessionManager.create(entry_function=offered)
            return self._managers[workflow]

    async def _refuse(self, keeper: Keeper, claim: Claim | None, error: SessionsError) -> None:
        """The key's runs cannot be driven here: an operator may resume them once it is mended."""
        log.error("host.refused", key=keeper.key, error=str(error))
        message = (
            f"The workflow {keeper.workflow!r} cannot run here now. An operator can resume it."
        )
        reason = {"code": "workflow_unavailable", "message": message}
        hold = await writer.write(partial(take_up.take_lease, keeper=keeper, claim=claim))
        suspend = partial(take_up.suspend_all, hold=hold, error=reason, detail=str(error))
        await writer.write(suspend)
        await writer.write(partial(take_up.let_go, hold=hold))
