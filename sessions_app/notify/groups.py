"""The use of the channel layer: its groups, sending to groups, and listening.

Messages may get lost, so no function raises a failure of the layer, or waits long for the layer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import cast
from uuid import UUID

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import BaseChannelLayer, channel_layers
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.notify.layers.foreign import ForeignLayer, health
from sessions_app.notify.layers.memory import LOST, MemoryLayer
from sessions_app.settings import RuntimeSettings

log = Log(__name__)

LayerMessage = JsonObject
CLUSTER = "sessions_app.notify.layers.cluster.ClusterLayer"


@cache
def channel_layer() -> MemoryLayer:
    """Return the channel layer of this process."""
    return new_layer(channel_layers.__getitem__)


def new_layer(make: Callable[[str], BaseChannelLayer] = channel_layers.make_backend) -> MemoryLayer:
    """Make the layer of CHANNEL_LAYERS that HITL names, or else our own layer: in memory, or, with
    a REDIS_URL, in memory and over Redis.

    Raises:
        ImproperlyConfigured: HITL names a missing layer.
    """
    runtime = RuntimeSettings.load()
    if (alias := runtime.CHANNEL_LAYER) in channel_layers:
        layer = make(alias)
        return layer if isinstance(layer, MemoryLayer) else ForeignLayer(layer)
    if alias != DEFAULT_CHANNEL_LAYER:
        raise ImproperlyConfigured(f"HITL: CHANNEL_LAYER={alias} is not among CHANNEL_LAYERS.")
    # Import the module only here, because it imports a client of Redis.
    url = runtime.REDIS_URL
    return cast(MemoryLayer, import_string(CLUSTER)(url)) if url else MemoryLayer()


def group_name(conversation: UUID) -> str:
    """Return the name of the channel-layer group for readers of the conversation."""
    return f"conversation.{conversation.hex}"


async def send_to_group(group: str, message: LayerMessage) -> None:
    """Send to all listeners of the group, in all processes. The message may get lost."""
    await _hint(partial(channel_layer().group_send, group, message))


async def send_elsewhere(messages: list[tuple[str, LayerMessage]]) -> None:
    """Send messages, which may get lost, to the members of groups in other processes."""
    await _hint(partial(channel_layer().send_elsewhere, messages))


async def _hint(send: Callable[[], Awaitable[None]]) -> None:
    if not health.in_pause:
        await health.call(send)


@asynccontextmanager
async def join_groups(*groups: str) -> AsyncIterator[Callable[[], Awaitable[LayerMessage]]]:
    """Join groups during the block, and yield a function that waits for the next message."""
    layer = channel_layer()
    channel = await layer.new_channel()
    try:
        for group in groups:
            await layer.group_add(group, channel)
        yield partial(layer.receive, channel)
    finally:
        for group in groups:
            await layer.group_discard(group, channel)


async def listen(group: str, handle: Callable[[LayerMessage], None]) -> None:
    """Call `handle` with each message to the group, until cancelled.

    `handle` runs in the event loop, and so must not block. Errors of `handle` are logged.
    """
    async with join_groups(group) as receive:
        while True:
            message = await receive()
            if message == LOST:
                log.warning("notify.messages_lost", group=group)
                continue
            try:
                handle(message)
            except Exception:
                log.exception("notify.handler_failed", group=group)
