"""The frames that a client of the wire protocol has received, and the wait for a certain frame."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.support.polling import PATIENCE

Frame = dict[str, Any]
Wanted = str | Callable[[Frame], bool]


def asks_or_ends(frame: Frame) -> bool:
    """Return whether a frame asks a person, or ends a run as completed."""
    is_over = frame["type"] == "run_update_message" and frame["status"] == "complete"
    return bool(frame["type"] == "system_interaction_message" or is_over)


class ReceivedFrames:
    """The received frames in order; `close_code` is set once the socket is closed."""

    def __init__(self, name: str) -> None:
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self._name = name
        # Received events and replies after the last of each kind that `until` returned.
        self._next: tuple[list[Frame], list[Frame]] = ([], [])
        self._news = asyncio.Condition()

    async def until(self, wanted: Wanted, timeout: float = PATIENCE) -> Frame:
        """Return the next frame of a type, or the next that a predicate accepts.

        The search begins after the frame that the last `until` returned, and skips others. Replies
        to this client (`for`) and events are searched separately, because a reply may come before
        the events that it caused, or after them.
        """
        looked = [0, 0]
        try:
            async with asyncio.timeout(timeout), self._news:
                while (frame := self._take(wanted, looked)) is None:
                    assert self.close_code is None, self._story(f"closed {self.close_code}")
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(self._story(f"nothing in {timeout} s")) from None
        return frame

    async def reply_to(self, message_id: str) -> Frame:
        return await self.until(lambda frame: frame.get("for") == message_id)

    async def until_ended(self, status: str | None = None, timeout: float = PATIENCE) -> Frame:
        """Return the next update of a run that has ended, or has this status."""

        def tells(frame: Frame) -> bool:
            if frame["type"] != "run_update_message":
                return False
            return bool(
                frame["content"]["status"] == status if status else frame["status"] == "complete"
            )

        return await self.until(tells, timeout)

    def of_type(self, *names: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] in names]

    def text(self) -> str:
        """Return all output that has arrived, joined."""
        frames = self.of_type("system_response_message")
        return "".join(frame["content"].get("text", "") for frame in frames)

    async def _received(self, text: str | bytes) -> None:
        frame = json.loads(text)
        async with self._news:
            self.frames.append(frame)
            self._next["for" in frame].append(frame)
            self._news.notify_all()

    async def _closed(self, code: int) -> None:
        async with self._news:
            self.close_code = code
            self._news.notify_all()

    def _take(self, wanted: Wanted, looked: list[int]) -> Frame | None:
        """Take the next wanted frame, if it has arrived; `looked` counts the skipped frames by
        kind.
        """
        for kind, frames in enumerate(self._next):
            for place in range(looked[kind], len(frames)):
                frame = frames[place]
                if frame["type"] == wanted if isinstance(wanted, str) else wanted(frame):
                    del frames[: place + 1]
                    return frame
            looked[kind] = len(frames)
        return None

    def _story(self, description: str) -> str:
        frame_lines = "\n".join(json.dumps(frame)[:400] for frame in self.frames[-30:])
        return f"{description} on {self._name}; frames so far:\n{frame_lines}"
