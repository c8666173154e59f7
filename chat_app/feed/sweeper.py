"""The sweeper, which finds new events in open conversations after their announcement was lost."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from itertools import count
from typing import Protocol
from uuid import UUID

from django.db import DatabaseError

from chat_app.feed.feed import Feed
from chat_app.feed.limits import CloseSocket
from chat_app.identity import Identity, still_valid
from chat_app.settings import ChatSettings
from sessions_app.lifecycle.startup import GOODBYE
from sessions_app.logs import Log
from sessions_app.models import Conversation
from sessions_app.models.people import UserId
from sessions_app.notify.news import News
from sessions_app.storage import reads
from sessions_app.storage.faults import is_fault

log = Log(__name__)

REVALIDATE = 3  # number of sweeps between two checks of the identities
CONVERSATIONS_PER_QUERY = 1000  # maximum number of conversations in one query


class Follower(Protocol):
    """A follower of logs for a person: a socket, or a request that waits for a run."""

    @property
    def identity(self) -> Identity | None:
        """The identity of the person, once known."""

    @property
    def feeds(self) -> Mapping[UUID, Feed]:
        """The feeds, by conversation."""

    @property
    def awaited_names(self) -> Collection[str]:
        """The names of followed conversations that do not exist yet."""

    @property
    def stalled(self) -> bool:
        """True if the client has not read for too long."""

    def wake(self) -> None:
        """Advance the feeds that are behind, and look for newly created conversations."""

    def end(self, error: CloseSocket) -> None:
        """Close the connection."""


class Sweeper:
    """The periodic check of this process's followers, by a task that runs while there are any."""

    def __init__(self) -> None:
        # Each follower (a socket or a request), with the task that serves it until its end.
        self._followers: dict[Follower, asyncio.Task[object] | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._close_error: CloseSocket | None = None
        # True if the last sweep could not read the database. A change of the flag wakes all
        # followers.
        self.database_away = False

    def add(self, follower: Follower) -> None:
        """Add a follower. The current task serves the follower until its end."""
        self._followers[follower] = asyncio.current_task()
        if self._close_error is not None:
            follower.end(self._close_error)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sweeper")

    async def remove(self, follower: Follower) -> None:
        """Remove a follower that has ended."""
        self._followers.pop(follower, None)
        if not self._followers and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close_all(self) -> None:
        """Close all followers with 1012: the server stops, and clients reconnect to another one."""
        self._close_error = CloseSocket(1012, "restarting; come back")
        for follower in self._followers:
            follower.end(self._close_error)
        if tasks := [task for task in self._followers.values() if task]:
            await asyncio.wait(tasks, timeout=GOODBYE)

    async def _run(self) -> None:
        for sweep in count(1):
            await asyncio.sleep(ChatSettings.load().SWEEP_SECONDS)
            for follower in self._followers:
                if follower.stalled:
                    follower.end(CloseSocket(4408, "too much unread; come back"))
            try:
                await _sweep(list(self._followers))
                if sweep % REVALIDATE == 0:
                    await self._revalidate()
            except Exception as error:  # log any error and continue: the next sweep tries again
                log.exception("sweeper.failed")
                self._find(away=is_fault(error))
            else:
                self._find(away=False)

    def _find(self, *, away: bool) -> None:
        if away != self.database_away:
            self.database_away = away
            for follower in list(self._followers):
                follower.wake()

    async def _revalidate(self) -> None:
        """Close followers with an ended identity, in case the message about its end was lost."""
        identities = {follower.identity for follower in self._followers if follower.identity}
        valid = await reads.read(still_valid, identities)
        for follower in list(self._followers):
            if follower.identity in identities - valid:
                follower.end(CloseSocket(4401, "signed out"))


async def pass_news(follower: Follower, news: News) -> None:
    """Pass an announcement on to the follower's feed of the conversation, if there is one."""
    feed = follower.feeds.get(news.conversation)
    if feed is not None:
        await feed.news(news)


async def recheck(follower: Follower) -> None:
    """Check the identity and then the logs: either may have changed, or messages may be lost.

    Raises:
        CloseSocket: the identity has ended.
    """
    try:
        await check(follower.identity)
    except DatabaseError as error:  # after a failed check, the sweeper tries again later
        log.warning("sweeper.not_checked", error=str(error))
    await sweep_now(follower)


async def sweep_now(follower: Follower) -> None:
    """Read new events of one follower's conversations now, and not at the next sweep."""
    try:
        await _sweep([follower])
    except DatabaseError as error:  # the next sweep reads the events
        log.warning("sweeper.not_looked", error=str(error))


async def check(identity: Identity | None) -> None:
    """Check whether an identity is still valid.

    Raises:
        CloseSocket: the identity has ended.
    """
    if identity is None or not await reads.read(still_valid, [identity]):
        raise CloseSocket(4401, "signed out")


async def _sweep(followers: list[Follower]) -> None:
    feeds = [feed for follower in followers for feed in follower.feeds.values()]
    heads = await reads.read(_heads, {feed.conversation for feed in feeds})
    for feed in feeds:
        feed.heard_up_to = max(feed.heard_up_to, heads.get(feed.conversation, 0))
        feed.deleted = feed.conversation not in heads
    awaited_names = set().union(*map(_awaited_names, followers))
    existing_names = (
        await reads.read(_existing_conversations, awaited_names) if awaited_names else set()
    )
    for follower in followers:
        changed = any(feed.has_unsent or feed.deleted for feed in follower.feeds.values())
        if changed or _awaited_names(follower) & existing_names:
            follower.wake()


def _awaited_names(follower: Follower) -> set[tuple[UserId, str]]:
    owner = follower.identity
    return {(owner.person.id, name) for name in follower.awaited_names} if owner else set()


def _heads(conversations: Iterable[UUID]) -> dict[UUID, int]:
    ids = list(conversations)
    heads: dict[UUID, int] = {}
    for start in range(0, len(ids), CONVERSATIONS_PER_QUERY):
        part = Conversation.objects.filter(
            pk__in=ids[start : start + CONVERSATIONS_PER_QUERY], deleted_at=None
        )
        heads |= dict(part.values_list("pk", "last_sequence"))
    return heads


def _existing_conversations(awaited_names: set[tuple[UserId, str]]) -> set[tuple[UserId, str]]:
    pairs = list(awaited_names)
    existing_names: set[tuple[UserId, str]] = set()
    for start in range(0, len(pairs), CONVERSATIONS_PER_QUERY):
        part = pairs[start : start + CONVERSATIONS_PER_QUERY]
        rows = Conversation.objects.filter(
            owner_id__in={owner for owner, _ in part},
            conversation_id__in=[name for _, name in part],
            deleted_at=None,
        )
        existing_names |= awaited_names.intersection(
            rows.values_list("owner_id", "conversation_id")
        )
    return existing_names


sweeper = Sweeper()
