"""A run's text on its way into the log.

Text is gathered while a commit is under way. A replay compares text with the output sent before, so
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

# Characters at which a workflow that yields faster than the writer commits has to wait.
HIGH_WATER = 64_000
# Chunks after which a generator that never awaits yields to other tasks.
CHUNKS_A_TURN = 8

# Queues a write of the run, in order. A failed write ends the run, awaited or not.
Write = Callable[[Work[None]], "asyncio.Future[None]"]


class Output:
    """The output of a run: chunks in, `text` events out, through the run's own writes."""

    def __init__(self, leased_run: LeasedRun, cut: CutText | None, write: Write) -> None:
        self._leased_run = leased_run
        self._write = write
        self._cut = cut
        # Characters of the cut text that the replay has repeated so far.
        self._matched = 0
        self._lock = threading.Lock()
        self._parts: list[str] = []
        self._size = 0
        self._begun: asyncio.Handle | None = None
        self._under_way: asyncio.Future[None] | None = None
        self._chunks = 0

    async def emit(self, text: str) -> None:
        """Put out a chunk, without the part that an interrupted execution has put out before."""
        text = storable(text)  # the stored form, for the comparison
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
        """Mark the text as complete up to here: shorter text than the cut text is a difference."""
        if self._cut is not None:
            self._begin_anew(self._cut, self._cut.text[: self._matched])

    def settle(self) -> None:
        """Complete the text up to here, and queue its write before any later write."""
        self.complete()
        self.put()
        # Later text goes into a new list: the write queued above must not take it.
        self._parts, self._size = [], 0

    def put(self) -> None:
        """Queue the write of the gathered text."""
        if self._begun is not None:
            self._begun.cancel()
            self._begun = None
            self._under_way = self._write(self._piece())

    def last(self) -> str:
        """Return the last piece, for the write that ends the run; empty if a write is queued."""
        if self._begun is None:
            return ""
        self._begun.cancel()
        self._begun = None
        return self._take(self._parts)

    def _match(self, cut: CutText, text: str) -> str:
        """Return the new part of a chunk; restart the text at a difference from the cut text."""
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
        if first:  # deferred: a run that ends first stores the text with its end
            self._begun = asyncio.get_running_loop().call_soon(self.put)

    def _take(self, parts: list[str]) -> str:
        with self._lock:
            text = "".join(parts)
            parts.clear()
            if parts is self._parts:
                self._size = 0
        return text

    def _piece(self) -> Work[None]:
        """Build a write that takes the gathered text when its turn comes, and may run twice."""
        texts: list[str] = []
        parts = self._parts

        def work(tx: Transaction) -> None:
            if not texts:
                texts.append(self._take(parts))
            for piece in pieces_of(texts[0]):
                run_writes.append_text(tx, self._leased_run, piece)

        return work
