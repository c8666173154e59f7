"""The channel layer of the runtime."""

from collections.abc import Callable
from functools import cache

from django.utils.module_loading import import_string

from sessions_app.notify.memory_layer import MemoryLayer
from sessions_app.settings import RuntimeSettings

CLUSTER = "sessions_app.notify.cluster_layer.ClusterLayer"


@cache
def channel_layer() -> MemoryLayer:
    """That of this process: in memory, and over Redis where there are other processes.

    None of CHANNEL_LAYERS: what the runtime asks of a layer (a full channel says that messages were
    lost, nothing expires, nobody waits for a Redis that fails) no other does.
    """
    url = RuntimeSettings.load().REDIS_URL
    if not url:
        return MemoryLayer()
    # Only where it is used: it imports a client of Redis.
    cluster_layer: Callable[[str], MemoryLayer] = import_string(CLUSTER)
    return cluster_layer(url)
