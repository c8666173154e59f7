"""Hurts one process, its disk, its database, its clock and its messages."""

import asyncio
import shutil
from contextlib import AbstractContextManager

from tests.chaos.nemeses.nemesis import LONG, SHORT, Nemesis
from tests.chaos.one_process import OneProcess
from tests.cluster import faults
from tests.support.polling import until

PROCESS = ("kill", "kill", "stop", "term")
OTHERS = ("full", "slow", "locked", "messages", "clock")
# A write that waits for the lock longer than SQLite's `busy_timeout` (20 s) fails.
LOCKED_FOR_LONG = (21.0, 24.0)
SLOW = (50, 600)  # milliseconds for each commit
HOURS = range(-8, 9)


class LocalNemesis(Nemesis):
    """The nemesis of one process. What this machine cannot do is `left_out`."""

    def __init__(self, form: OneProcess, seed: int) -> None:
        super().__init__(seed, form.orders)
        self._form = form
        able = {"full": form.has_disk, "slow": shutil.which("strace") is not None}
        self.left_out = [kind for kind, can in able.items() if not can]
        self._kinds = [*PROCESS, *(kind for kind in OTHERS if kind not in self.left_out)]

    async def strike(self) -> None:
        """Strike once; what an earlier strike did may not be over."""
        assert self._form.node.up or "process" in self._busy, "the server ended by itself"
        kind = self._random.choice(self._kinds)
        # Mostly short: while the one process cannot work, nothing happens that could go wrong.
        seconds = self._random.uniform(*self._random.choice((SHORT, SHORT, SHORT, LONG)))
        if kind == "locked" and self._random.random() < 0.2:
            seconds = self._random.uniform(*LOCKED_FOR_LONG)
        target = "process" if kind in PROCESS else kind
        if target in self._busy:
            return
        if kind == "messages":
            self._strike_messages(seconds)
            return
        self._note(f"{kind} process" if kind in PROCESS else kind, "server", seconds)
        if kind in PROCESS:
            self._start(target, self._hurt(kind, seconds))
        elif kind == "clock":
            self._start(target, self._turn_clock(self._random.choice(HOURS)))
        else:
            self._start(target, self._hinder(self._hindrance(kind), seconds))

    def _hindrance(self, kind: str) -> AbstractContextManager[None]:
        if kind == "slow":
            return self._form.slow(self._random.randint(*SLOW))
        return self._form.full() if kind == "full" else self._form.locked()

    async def _hurt(self, kind: str, seconds: float) -> None:
        node = self._form.node
        await faults.FAULTS[kind](node)
        await faults.recover(node, again=True, frozen_for=seconds)
        await asyncio.to_thread(self._form.until_up)

    async def _turn_clock(self, hours: int) -> None:
        """Turn the clock, and wait until a run has noted a wrong time."""
        self._order(hours=hours)
        if hours:
            await asyncio.to_thread(until, self._form.has_noted_wrong_time)

    async def _hinder(self, hindrance: AbstractContextManager[None], seconds: float) -> None:
        await asyncio.to_thread(hindrance.__enter__)
        try:
            await asyncio.sleep(seconds)
        finally:
            hindrance.__exit__(None, None, None)
