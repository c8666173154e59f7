"""Bodies of responses that are small on the wire and large in memory."""

import gc
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager


def bomb(megabytes: int) -> bytes:
    """Return so many megabytes of spaces, compressed by gzip, without the checksum at their end."""
    compressor = zlib.compressobj(9, wbits=31)
    # After a full flush the same megabyte makes the same bytes.
    first, other = (
        compressor.compress(b" " * 2**20) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return first + other * (megabytes - 1)


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
