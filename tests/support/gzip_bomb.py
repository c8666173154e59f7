"""Bodies of responses that are small on the wire and large in memory."""

import gc
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager


def bomb(megabytes: int) -> bytes:
    """Return a megabyte of spaces, so many times, as gzip."""
    compressor = zlib.compressobj(9, wbits=31)
    pieces = [compressor.compress(b" " * 2**20) for _ in range(megabytes)]
    return b"".join([*pieces, compressor.flush()])


@contextmanager
def little_memory(megabytes: int) -> Iterator[None]:
    """Check that the block takes no more memory at once than that."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 2**20, f"{peak / 2**20:.0f} MiB"
