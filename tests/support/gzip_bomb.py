"""Bodies of responses that are small on the wire and large in memory."""

import gc
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager


def bomb(megabytes: int) -> bytes:
    """Return so many megabytes of spaces, compressed by gzip."""
    compressor = zlib.compressobj(9, wbits=31)
    pieces = [compressor.compress(b" " * 2**20) for _ in range(megabytes)]
    return b"".join([*pieces, compressor.flush()])


@contextmanager
def little_memory(megabytes: int) -> Iterator[None]:
    """Check that the block needs at most so many megabytes of memory at any time."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 2**20, f"{peak / 2**20:.0f} MiB"
