"""A run's text on its way into the log.

It is gathered while a commit is under way; on replay it is compared with what was sent before, so
that nothing is sent twice.
"""

import asyncio
import threading
from collections.abc import Callable

from sessions_app.hosting import run_writes
from sessions_app.hosting.run_selection import CutText
from sessions_app.hosting.run_writes import LeasedRun
from sessions_app.storage.run_text import pieces_of
from sessions_app.storage.storable import storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work

# A workflow that yields faster than is committed waits at so many characters.
HIGH_WATER = 64_000
# A generator that never awaits lets the others run after so many chunks.
CHUNKS_A_TURN = 8

# Queues a write of the run, in order. One that fails ends the run, awaited or not.
Write = Callable[[Work[None]], "asyncio.Future[None]"]


class Output:
    """Chunks in, `text` events out, by the run's own way to write."""

    def __init__(self, leased_run: LeasedRun, cut: CutText | None, write: Write) -> None:
        self._leased_run = leased_run
        self._write = write
        self._cut = cut
        # How much of the cut text the replay has given again so far.
        self._matched = 0
        self._lock = threading.Lock()
        self._parts: list[str] = []
        self._size = 0
        self._begun: asyncio.Handle | None = None
        self._under_way: asyncio.Future[None] | None = None
        self._chunks = 0

    async def emit(self, text: str) -> None:
        """Put out a chunk that the workflow gave and no earlier execution did."""
        text = storable(text)  # as it is compared with what is stored
        if self._cut is not None:
            text = self._match(self._cut, text)
        if text:
            self._gather(text)
        self._chunks += 1
        if self._size > HIGH_WATER:
            self.put()
            if self._under_way is not None:
                await asyncio.wait([self._under_way])
        elif self._chunks % CHUNKS_A_TURN == 0:
            await asyncio.sleep(0)

    def complete(self) -> None:
        """Mark the text up to here as complete: if it is shorter than the cut text, it differs."""
        if self._cut is not None:
            self._begin_anew(self._cut, self._cut.text[: self._matched])

    def settle(self) -> None:
        """Complete the text up to here, and write it before what is written next."""
        self.complete()
        self.put()
        # What comes from here on is not to be taken by a write before it.
        self._parts, self._size = [], 0

    def put(self) -> None:
        """Queue the write of the gathered text."""
        if self._begun is not None:
            self._begun.cancel()
            self._begun = None
            self._under_way = self._write(self._piece())

    def last(self) -> str:
        """Return the last piece, for the write that ends the run; empty if a write has it."""
        if self._begun is None:
            return ""
        self._begun.cancel()
        self._begun = None
        return self._take(self._parts)

    def _match(self, cut: CutText, text: str) -> str:
        """Return the new part of a chunk; restart the text where it differs from what was cut."""
        remaining = len(cut.text) - self._matched
        repeat, new = text[:remaining], text[remaining:]
        if not cut.text.startswith(repeat, self._matched):
            self._begin_anew(cut, cut.text[: self._matched] + text)
            return ""
        self._matched += len(repeat)
        if self._matched == len(cut.text):
            self._cut = None
        return new

    def _begin_anew(self, cut: CutText, text: str) -> None:
        self._cut = None
        begin = cut.from_sequence
        self._write(lambda tx: run_writes.restart_text(tx, self._leased_run, from_sequence=begin))
        if text:
            self._gather(text)

    def _gather(self, text: str) -> None:
        with self._lock:
            self._parts.append(text)
            self._size += len(text)
            first = len(self._parts) == 1
        if first:  # in a moment: a run that ends by then stores it with its end
            self._begun = asyncio.get_running_loop().call_soon(self.put)

    def _take(self, parts: list[str]) -> str:
        with self._lock:
            text = "".join(parts)
            parts.clear()
            if parts is self._parts:
                self._size = 0
        return text

    def _piece(self) -> Work[None]:
        """Build the work that writes the gathered text when its turn comes; it may run twice."""
        texts: list[str] = []
        parts = self._parts

        def work(tx: Transaction) -> None:
            if not texts:
                texts.append(self._take(parts))
            for piece in pieces_of(texts[0]):
                run_writes.append_text(tx, self._leased_run, piece)

        return work
