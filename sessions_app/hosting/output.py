"""The output text of a run before it is stored in the event log.

Text is gathered while a commit is under way. A replay compares its text with the text stored by the
interrupted execution, so that no text is stored twice.
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

# Characters of uncommitted text at which a workflow has to wait for the writer.
HIGH_WATER = 64_000
# Number of chunks after which other tasks get a turn, even if the workflow never awaits anything.
CHUNKS_A_TURN = 8

# A function that queues a write of the run after the run's earlier writes. A failed write ends the
# run's execution, even if no caller awaits the result.
Write = Callable[[Work[None]], "asyncio.Future[None]"]


class Output:
    """The output of a run, which gathers chunks of text and queues writes of `text` events."""

    def __init__(self, leased_run: LeasedRun, cut: CutText | None, write: Write) -> None:
        self._leased_run = leased_run
        self._write = write
        self._cut = cut
        # Number of characters of the interrupted execution's text that the replay has repeated.
        self._matched = 0
        self._lock = threading.Lock()
        self._parts: list[str] = []
        self._size = 0
        self._begun: asyncio.Handle | None = None
        self._under_way: asyncio.Future[None] | None = None
        self._chunks = 0

    async def emit(self, text: str) -> None:
        """Queue a chunk for the log, except text that an interrupted execution has stored."""
        text = storable(text)  # as stored in the log, for comparison with a replay's text
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
        """Note that the workflow has put out all text up to this point.

        If the replay has repeated only a part of the interrupted execution's text, the two texts
        differ, and the stored text is replaced.
        """
        if self._cut is not None:
            self._begin_anew(self._cut, self._cut.text[: self._matched])

    def flush(self) -> None:
        """Complete the text up to here, and queue its write before any later write."""
        self.complete()
        self.put()
        # Gather later text in a new list, because the write queued above takes the whole old list.
        self._parts, self._size = [], 0

    def put(self) -> None:
        """Queue the write of the gathered text."""
        if self._begun is not None:
            self._begun.cancel()
            self._begun = None
            self._under_way = self._write(self._piece())

    def last(self) -> str:
        """Return text for which no write is queued yet, to be stored with the end of the run."""
        if self._begun is None:
            return ""
        self._begun.cancel()
        self._begun = None
        return self._take(self._parts)

    def _match(self, cut: CutText, text: str) -> str:
        """Return the part of a chunk that an interrupted execution has not stored.

        If the chunk differs from the text of that execution, replace the stored text.
        """
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
        if first:  # delay the write: a run that ends immediately stores the text with its end
            self._begun = asyncio.get_running_loop().call_soon(self.put)

    def _take(self, parts: list[str]) -> str:
        with self._lock:
            text = "".join(parts)
            parts.clear()
            if parts is self._parts:
                self._size = 0
        return text

    def _piece(self) -> Work[None]:
        """Build a write that takes all text gathered by the time when the writer executes it.

        The writer may execute the write again after a failure, with the same text.
        """
        texts: list[str] = []
        parts = self._parts

        def work(tx: Transaction) -> None:
            if not texts:
                texts.append(self._take(parts))
            for piece in pieces_of(texts[0]):
                run_writes.append_text(tx, self._leased_run, piece)

        return work
