"""The notifier: sends messages about commits, and for other threads, in the runtime's loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

from asgiref.sync import async_to_sync

from sessions_app.logs import Log
from sessions_app.models import Event
from sessions_app.notify.groups import (
    LayerMessage,
    channel_layer,
    group_name,
    send_elsewhere,
    send_to_group,
)
from sessions_app.notify.news import MAX_EVENTS, PROMPTS, PROMPTS_CHANGED, news_message
from sessions_app.storage.records import EventRecord
from sessions_app.storage.transaction import Transaction

ABOUT_PROMPTS = (
    Event.Type.INTERACTION,
    Event.Type.INTERACTION_UPDATE,
    Event.Type.ASSIGNMENT,
    Event.Type.ASSIGNMENT_UPDATE,
)

# Minimum seconds between two messages to other processes that prompts have changed. Each of these
# messages makes readers in those processes count prompts by a query.
HINT_EVERY = 0.3
# Seconds from a change of a prompt to the message PROMPTS_CHANGED, so that urgent messages come
# first.
HINT_AFTER = 0.01

log = Log(__name__)


class Notifier:
    """A distributor of committed events, which come from the writer's thread.

    Readers in this process get messages immediately, other processes by a task of the notifier.
    Events committed while a message to other processes is being sent go into the next message.
    """

    def __init__(self) -> None:
        self._gathered: dict[UUID, list[EventRecord]] = {}
        self._messages: list[tuple[str, LayerMessage]] = []
        self._hint: asyncio.TimerHandle | None = None  # timer of the message PROMPTS_CHANGED
        self._hinted_at = -HINT_EVERY  # the loop's time at the last PROMPTS_CHANGED
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._task = self._loop.create_task(self._run(), name="notifier")
        _started.append(self)

    async def stop(self) -> None:
        """Stop after sending the gathered messages."""
        self._loop = None
        if self._hint is not None:
            self._hint.cancel()
            self._send_hint()
        if self._task is not None:
            _started.remove(self)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._flush()
        with suppress(Exception):  # ignore errors of the layer, which is not used any more
            await channel_layer().close()

    def publish(self, tx: Transaction) -> None:
        """Pass on the events of a committed transaction, from any thread."""
        if self._loop is not None:
            tx.call_in(self._loop, partial(self._deliver, tx.events))

    def send(self, group: str, message: LayerMessage) -> bool:
        """Send a message to a group, from any thread; return False if the notifier is stopped."""
        return self._call(self._send, group, message)

    def _call(self, function: Callable[..., None], *arguments: object) -> bool:
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # not sent: the loop is closed
            return False
        return True

    def _deliver(self, events: list[EventRecord]) -> None:
        layer = channel_layer()
        for conversation, new_events in _by_conversation(events).items():
            layer.deliver(group_name(conversation), news_message(conversation, new_events))
            if not layer.is_single_process:
                conversation_events = self._gathered.get(conversation, []) + new_events
                # Keep one event more than the maximum, so that `news_message` sees the excess.
                self._gathered[conversation] = conversation_events[-MAX_EVENTS - 1 :]
                self._wake.set()
        if any(event.type in ABOUT_PROMPTS for event in events):
            layer.deliver(PROMPTS, PROMPTS_CHANGED)
            if not layer.is_single_process and self._hint is None:
                loop = asyncio.get_running_loop()
                at = max(loop.time() + HINT_AFTER, self._hinted_at + HINT_EVERY)
                self._hint = loop.call_at(at, self._send_hint)

    def _send_hint(self) -> None:
        self._hint = None
        self._hinted_at = asyncio.get_running_loop().time()
        self._messages.append((PROMPTS, PROMPTS_CHANGED))
        self._wake.set()

    def _send(self, group: str, message: LayerMessage) -> None:
        layer = channel_layer()
        layer.deliver(group, message)
        if not layer.is_single_process:
            self._messages.append((group, message))
            self._wake.set()

    async def _run(self) -> None:
        while self._loop is not None:  # ends even if a layer swallows the cancellation
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        messages, self._messages = self._messages, []
        events_by_conversation, self._gathered = self._gathered, {}
        for conversation, events in events_by_conversation.items():
            messages.append((group_name(conversation), news_message(conversation, events)))
        if messages:
            await send_elsewhere(messages)


def _by_conversation(events: list[EventRecord]) -> dict[UUID, list[EventRecord]]:
    events_by_conversation: dict[UUID, list[EventRecord]] = {}
    for event in events:
        events_by_conversation.setdefault(event.conversation, []).append(event)
    return events_by_conversation


_started: list[Notifier] = []


def send_from_thread(group: str, message: LayerMessage) -> None:
    """Send a message to a group from a thread without event loop, such as a request's.

    If the runtime is up, its event loop sends the message, because layers keep connections per
    loop.
    """
    if not any(notifier.send(group, message) for notifier in _started):
        async_to_sync(send_to_group)(group, message)
