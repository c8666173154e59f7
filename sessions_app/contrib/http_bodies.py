"""A limit for the bodies of HTTP responses, in clients of the package httpx2.

A client decompresses a body while reading: a kilobyte of gzip can be a megabyte of zeros. So the
limit is for the decompressed length, which is kept in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from httpx2 import AsyncByteStream, Response, StreamError

Hook: TypeAlias = Callable[[Response], Awaitable[None]]
# A function that gets each piece of a body, and raises BodyTooLong beyond a limit.
Take: TypeAlias = Callable[[bytes], None]


class BodyTooLong(StreamError):
    """The error of a response that is longer than a client accepts."""


def limit_each(limit: int, *, line: int | None = None) -> Hook:
    """Return a hook that limits each response of a client to a number of bytes.

    `line` limits each line of a body that is read by lines.
    """
    line = limit if line is None else line

    async def hook(response: Response) -> None:
        length = of_line = 0

        def take(piece: bytes) -> None:
            nonlocal length, of_line
            length += len(piece)
            end = piece.rfind(b"\n")
            of_line = of_line + len(piece) if end < 0 else len(piece) - end
            if length > limit or of_line > line:
                raise BodyTooLong(f"the response, or a line, has more than {line:,} bytes")

        limit_body(response, take)

    return hook


def limit_body(response: Response, take: Take) -> None:
    """Pass each decompressed piece of a response's body to `take` before a client keeps it."""
    compressed = Response(response.status_code, headers=response.headers, stream=response.stream)
    response.stream = _Limited(compressed, take)
    response.headers.pop("Content-Encoding", None)


class _Limited(AsyncByteStream):
    def __init__(self, response: Response, take: Take) -> None:
        self._response = response
        self._take = take

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.aiter_bytes():
            self._take(piece)
            yield piece
            await asyncio.sleep(0)  # let other tasks run: a piece may expand to many

    async def aclose(self) -> None:
        await self._response.aclose()
