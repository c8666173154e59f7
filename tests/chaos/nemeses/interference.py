"""The changes that tests make in a server: its clock is set, its messages are lost and doubled.

The server reads its orders from the file that INTERFERENCE names. libfaketime would set the clock
from outside, but has Python's `time.sleep` fail where it leaves the monotonic clock as it is.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import time_machine
from django.apps import AppConfig
from django.utils.module_loading import import_string

from sessions_app.notify.layers.memory import MemoryLayer
from tests.chaos.orders import Orders

LOOK = 0.05  # seconds between two looks at the orders
# It needs models, which are not there yet when this is imported.
CLEAN = "sessions_app.lifecycle.retention.clean"


class Interference(AppConfig):
    name = "tests.chaos.nemeses.interference"

    def ready(self) -> None:
        if path := os.environ.get("INTERFERENCE"):
            obedient = _Obedient(Path(path))
            obedient.look()
            Thread(target=obedient.keep_looking, daemon=True).start()


class _Obedient:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders = Orders()
        self._clock: Any = None
        self._leak: list[bytes] = []
        MemoryLayer.deliver = self._unreliable(MemoryLayer.deliver)  # type: ignore[method-assign] # also `group_send` and what comes over Redis go through it

    def keep_looking(self) -> None:
        while True:
            time.sleep(LOOK)
            self.look()

    def look(self) -> None:
        with suppress(FileNotFoundError):
            orders = Orders(**json.loads(self._path.read_text()))
            if orders.hours != self._orders.hours:
                self._set_clock(orders.hours)
            if orders.cleanings != self._orders.cleanings:
                asyncio.run(import_string(CLEAN)())
            self._orders = orders

    def _set_clock(self, hours: int) -> None:
        wrong_by = timedelta(hours=hours)
        if self._clock is None:
            self._clock = time_machine.travel(datetime.now(UTC) + wrong_by, tick=True).start()
        else:
            self._clock.move_to(time_machine.escape_hatch.datetime.datetime.now(tz=UTC) + wrong_by)

    def _unreliable(self, deliver: Callable[..., None]) -> Callable[..., None]:
        def delivered(layer: MemoryLayer, group: str, message: dict[str, Any]) -> None:
            if self._orders.leaked:
                self._leak.append(os.urandom(1024 * self._orders.leaked))
            chance = random.random() - self._orders.lost
            for _ in range(0 if chance < 0 else 2 if chance < self._orders.doubled else 1):
                deliver(layer, group, message)

        return delivered
