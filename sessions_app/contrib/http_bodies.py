"""A limit for the bodies of HTTP responses, in clients of httpx2. It needs that package.

A client decompresses a body as it reads it: a kilobyte of gzip can be a megabyte of zeros. What
counts is the length that is kept in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from httpx2 import AsyncByteStream, Response, StreamError

Hook: TypeAlias = Callable[[Response], Awaitable[None]]
# Takes the next piece of a body, or raises BodyTooLong.
Take: TypeAlias = Callable[[bytes], None]


class BodyTooLong(StreamError):
    """The error that a server sends more than a client takes."""


def limit_each(limit: int) -> Hook:
    """Return a hook for responses of a client, of which each may have that many bytes."""

    async def hook(response: Response) -> None:
        length = 0

        def take(piece: bytes) -> None:
            nonlocal length
            length += len(piece)
            if length > limit:
                raise BodyTooLong(f"the response has more than {limit:,} bytes")

        limit_body(response, take)

    return hook


def limit_body(response: Response, take: Take) -> None:
    """Have each piece of a response's body be taken, decompressed, before a client keeps it."""
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
            await asyncio.sleep(0)  # many pieces can come of one that was received

    async def aclose(self) -> None:
        await self._response.aclose()
