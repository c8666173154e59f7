"""Long texts that are kept on the disk, not in memory, for clients that read slowly."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings

PIECE_BYTES = 256 * 1024


def spool(texts: Iterator[str | bytes], enough: float = math.inf) -> IO[bytes]:
    """Write texts into a file until it has enough bytes; return the file at its beginning. Blocks:
    call in a thread.
    """
    file: Any = SpooledTemporaryFile(PIECE_BYTES, dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - the reader closes the file
    for text in texts:
        file.write(text.encode() if isinstance(text, str) else text)
        if file.tell() >= enough:
            break
    file.seek(0)
    return file  # type: ignore[no-any-return] # no IO in the stubs


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield the content of a file, and close the file."""
    try:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
    finally:
        await asyncio.to_thread(file.close)
