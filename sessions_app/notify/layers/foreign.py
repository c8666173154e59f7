"""An adapter for other backends of CHANNEL_LAYERS, such as the two of channels-redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from channels.layers import BaseChannelLayer

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.notify.layers.memory import MemoryLayer
from sessions_app.notify.news import pack, unpack

log = Log(__name__)

TIMEOUT = 1.0  # seconds that a layer may take for one call
# Seconds after which a layer that failed is tried again. Until then, messages are dropped.
PAUSE_AFTER_FAILURE = 1.0
# Seconds after which a channel joins its groups again: a restarted Redis knows no groups, and
# channels-redis does not report the restart. Its `core` layer also forgets groups after a day.
REJOIN = 10.0


class Health:
    """The health of the channel layer: whether its last call failed; each change is logged."""

    def __init__(self) -> None:
        self._failing = False
        self._next = 0.0

    @property
    def in_pause(self) -> bool:
        """True during the pause after a failed call; messages are dropped meanwhile."""
        return self._failing and time.monotonic() < self._next

    def note_failure(self, error: Exception) -> None:
        """Note that a call of the channel layer has failed."""
        if not self._failing:
            log.warning("notify.layer_failed", error=repr(error))
        self._failing = True
        self._next = time.monotonic() + PAUSE_AFTER_FAILURE

    async def call(self, work: Callable[[], Awaitable[None]]) -> None:
        """Call the layer with a timeout of a second. Errors are noted, but not raised."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await work()
        except Exception as error:  # noqa: BLE001 - a layer may raise anything
            self.note_failure(error)
        else:
            if self._failing:
                log.warning("notify.layer_works_again")
            self._failing = False


health = Health()


class ForeignLayer(MemoryLayer):
    """An adapter for a layer of another package; its failures only delay messages to readers.

    Features of our own layers are missing: messages within a process pass through the other layer,
    too, and each message is sent separately. Readers find the events of dropped messages by a query
    of the log.
    """

    is_single_process = False

    def __init__(self, layer: BaseChannelLayer) -> None:
        super().__init__()
        self._layer = layer
        self._readers: dict[str, _Reader] = {}
        self.backend = f"{type(layer).__module__}.{type(layer).__qualname__}"

    async def group_add(self, group: str, channel: str) -> None:
        """Join a group, or try again every `REJOIN` seconds if the layer fails."""
        if channel not in self._readers:
            self._readers[channel] = _Reader(self._layer, partial(self.put, channel))
        await self._readers[channel].join(group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Leave a group; with the last group, discard the unread messages."""
        reader = self._readers.get(channel)
        if reader is not None and await reader.leave(group):
            del self._readers[channel]
            self.channels.pop(channel, None)
            await reader.close()

    async def group_send(self, group: str, message: JsonObject) -> None:
        """Send to the group's channels, in this and in other processes.

        Raises:
            Exception: any error of the layer.
        """
        text = pack(message).decode()
        await self._layer.group_send(group, {"type": message["type"], "json": text})

    def deliver(self, group: str, message: JsonObject) -> None:
        """Do nothing: the adapted layer delivers messages within this process, too."""

    async def send_elsewhere(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages in order, each to the channels of a group."""
        for group, message in messages:
            await self.group_send(group, message)

    async def close(self) -> None:
        """End all readers. The adapted layer stays open, as it belongs to the project."""
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            await reader.close()


class _Reader:
    """A reader of one channel of the adapted layer; passes messages on to the waiting listener."""

    def __init__(self, layer: BaseChannelLayer, put: Callable[[JsonObject], None]) -> None:
        self._layer = layer
        self._put = put
        self._name: str | None = None  # channel; None until the layer was reached
        self._naming = asyncio.Lock()
        self._groups: set[str] = set()
        self._tasks = [asyncio.create_task(work()) for work in (self._receive, self._rejoin)]

    async def join(self, group: str) -> None:
        self._groups.add(group)
        await health.call(partial(self._join, [group]))

    async def leave(self, group: str) -> bool:
        """Leave a group, and return whether the channel is in no group now."""
        self._groups.discard(group)
        if self._name is not None:
            await health.call(partial(self._layer.group_discard, group, self._name))
        return not self._groups

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=TIMEOUT)  # give the layer time to unsubscribe

    async def _join(self, groups: Iterable[str]) -> None:
        async with self._naming:
            if self._name is None:
                self._name = await self._layer.new_channel()
        for group in groups:
            await self._layer.group_add(group, self._name)

    async def _join_all(self) -> None:
        await health.call(partial(self._join, list(self._groups)))

    async def _rejoin(self) -> None:
        while True:
            await asyncio.sleep(REJOIN)
            await self._join_all()

    async def _receive(self) -> None:
        while True:
            try:
                await self._join([])
                message = await self._layer.receive(str(self._name))
            except Exception as error:  # noqa: BLE001 - the layer is tried again
                health.note_failure(error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE)
                await self._join_all()
            else:
                self._put(unpack(message["json"]))
