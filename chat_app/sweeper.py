"""Looks at the logs of all open conversations now and then, for sockets whose news was lost."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from typing import Any, Protocol
from uuid import UUID

import structlog

from chat_app.allowance import CloseSocket
from chat_app.feed import Feed
from chat_app.identity import Identity, still_valid
from sessions_app import database
from sessions_app.models import Conversation

log = structlog.get_logger(__name__)

INTERVAL = 3.0  # seconds
REVALIDATE = 3  # sweeps: how often it is looked whether people may still be here
IDS = 1000  # in one query
GOODBYE = 3.0  # seconds for all sockets to close


class Socket(Protocol):
    """A socket as the sweeper sees it.

    `task` serves it to its end; `awaited` are conversations that are not there yet, by name.
    """

    user: int
    identity: Identity | None
    task: asyncio.Task[Any] | None
    feeds: dict[UUID, Feed]
    awaited: set[str]

    @property
    def stalled(self) -> bool:
        """Whether the client has not read for too long."""

    def nudge(self) -> None:
        """Look at the feeds that are behind, and for what is awaited."""

    def end(self, why: CloseSocket) -> None:
        """Close."""


class Sweeper:
    """One task per process, while there are sockets."""

    def __init__(self) -> None:
        self._sockets: set[Socket] = set()
        self._followers: Counter[tuple[UUID, int]] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._closing: CloseSocket | None = None

    def add(self, socket: Socket) -> None:
        """A socket has opened."""
        self._sockets.add(socket)
        if self._closing is not None:
            socket.end(self._closing)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sweeper")

    async def remove(self, socket: Socket) -> None:
        """It has closed."""
        self._sockets.discard(socket)
        if not self._sockets and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def follow(self, conversation: UUID, user: int) -> bool:
        """A socket of the user follows the conversation now. False if another did already."""
        self._followers[conversation, user] += 1
        return self._followers[conversation, user] == 1

    def unfollow(self, conversation: UUID, user: int) -> bool:
        """It does no more. False if another still does."""
        self._followers[conversation, user] -= 1
        if self._followers[conversation, user] > 0:
            return False
        del self._followers[conversation, user]
        return True

    async def close_all(self) -> None:
        """Close all sockets with 1012, since the server stops; clients come back to the next."""
        self._closing = CloseSocket(1012, "restarting; come back")
        for socket in self._sockets:
            socket.end(self._closing)
        if tasks := [socket.task for socket in self._sockets if socket.task]:
            await asyncio.wait(tasks, timeout=GOODBYE)

    async def _run(self) -> None:
        for sweep in count(1):
            await asyncio.sleep(INTERVAL)
            for socket in self._sockets:
                if socket.stalled:
                    socket.end(CloseSocket(4408, "too much unread; come back"))
            try:
                await self._sweep(self._sockets)
                if sweep % REVALIDATE == 0:
                    await self._revalidate()
            except Exception:  # the next sweep tries again
                log.exception("sweeper.failed")

    async def look(self, socket: Socket) -> None:
        """Look at the logs of one socket's conversations now."""
        await self._sweep({socket})

    async def _sweep(self, sockets: set[Socket]) -> None:
        feeds = [feed for socket in sockets for feed in socket.feeds.values()]
        heads = await database.read(_heads, {feed.conversation for feed in feeds})
        for feed in feeds:
            feed.known = max(feed.known, heads.get(feed.conversation, 0))
        awaited = {(socket.user, name) for socket in sockets for name in socket.awaited}
        found = await database.read(_existing, awaited) if awaited else set()
        for socket in list(sockets):
            if any(feed.behind for feed in socket.feeds.values()) or any(
                (socket.user, name) in found for name in socket.awaited
            ):
                socket.nudge()

    async def _revalidate(self) -> None:
        """Close the sockets whose identity has ended: in case that nobody told them."""
        identities = {socket.identity for socket in self._sockets if socket.identity}
        valid = await database.read(still_valid, identities)
        for socket in list(self._sockets):
            if socket.identity in identities - valid:
                socket.end(CloseSocket(4401, "signed out"))


def _heads(conversations: Iterable[UUID]) -> dict[UUID, int]:
    ids = list(conversations)
    heads: dict[UUID, int] = {}
    for start in range(0, len(ids), IDS):
        part = Conversation.objects.filter(pk__in=ids[start : start + IDS])
        heads |= dict(part.values_list("pk", "last_sequence"))
    return heads


def _existing(awaited: set[tuple[int, str]]) -> set[tuple[int, str]]:
    pairs = list(awaited)
    found: set[tuple[int, str]] = set()
    for start in range(0, len(pairs), IDS):
        part = pairs[start : start + IDS]
        rows = Conversation.objects.filter(
            owner_id__in={owner for owner, _ in part},
            conversation_id__in=[name for _, name in part],
        )
        found |= awaited.intersection(rows.values_list("owner_id", "conversation_id"))
    return found


sweeper = Sweeper()
