"""One run as its host drives it: the durable driver of its context."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.utils import timezone

from sessions_app import runs
from sessions_app.contact import Contact
from sessions_app.driver import Answered
from sessions_app.errors import (
    BuilderFailed,
    ConversationGone,
    Fenced,
    NonDeterminism,
    NotJson,
    SessionsError,
    StorageUnavailable,
)
from sessions_app.event_log import InteractionSettled, Lane, Work, writer
from sessions_app.journal import Call, Entry, Record
from sessions_app.models import Run
from sessions_app.output import Output
from sessions_app.people import Person
from sessions_app.request_context import RequestMetadata
from sessions_app.runner import Runner
from sessions_app.scope import Message
from sessions_app.session import SessionManager
from sessions_app.slots import Slot
from sessions_app.take_up import Started
from sessions_app.waiting import Answer, Waiting

log = structlog.get_logger(__name__)


class Leaving(Enum):
    """Why a run is taken out of memory before it ends."""

    PARK = "it only waits"
    STOP = "it was asked to stop"
    DRAIN = "its process stops"
    BROKEN = "a write of it failed"
    LOST = "its host has lost the key"


class HostedRun:
    """Executes the workflow from the top, with the journal in its hand."""

    def __init__(
        self,
        started: Started,
        hold: runs.Hold,
        manager: SessionManager,
        lane: Lane,
        contact: Contact,
    ) -> None:
        self.run = started.run
        self._journal = started.journal
        self._held = runs.Held(hold, started.run)
        self._manager = manager
        self._output = Output(self._held, started.cut, self._write)
        self._runner: Runner | None = None
        self._lane = lane
        self._contact = contact
        self._waiting = Waiting()
        self._leaving: Leaving | None = None
        self._mismatch: NonDeterminism | None = None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None

    # --- what the host does with it

    def start(self, left: Callable[["HostedRun"], None]) -> None:
        """Begin to execute; `left` is called when it is out of memory."""
        self.task = asyncio.create_task(self._drive(), name=f"run {self.run.id}")
        self.task.add_done_callback(lambda _: left(self))

    def leave(self, why: Leaving) -> None:
        """Take the run out of memory. What it did is stored; what it does now is cancelled."""
        if self._leaving is None and self.task is not None:
            self._leaving = why
            if self._runner is not None:
                self._runner.context.end()
            if not (self._waiting.in_a_step and why is Leaving.DRAIN):
                self.task.cancel()

    def park(self) -> None:
        """Take it out of memory until an answer, or the end of a sleep, brings it back."""
        rest = partial(
            runs.rest,
            held=self._held,
            waits_for=self._waiting.unanswered,
            wake_at=self._waiting.wake_at,
        )
        self._write(rest)
        self.leave(Leaving.PARK)

    def settled(self, news: InteractionSettled) -> None:
        """One of its questions has its final status."""
        self._waiting.settled(news)

    @property
    def awaited(self) -> set[UUID]:
        """The interactions that it waits for."""
        return self._waiting.unanswered

    def rests_since(self) -> float | None:
        """Since when (monotonic) it does nothing but wait; None while it works."""
        return self._waiting.since()

    # --- the driver of its context

    def attach(self, slot: Slot) -> None:
        """The place that is given back while it waits."""
        self._released = slot.released

    def recall(self, call: Call) -> Entry | None:
        """What the journal has; a mismatch suspends the run even if the workflow catches it."""
        try:
            return self._journal.recall(call)
        except NonDeterminism as error:
            self._mismatch = error
            raise

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """In a step."""
        await self._contact.sure()
        try:
            with self._waiting.step():
                yield
        finally:
            if self._leaving is Leaving.DRAIN and self.task is not None:
                self.task.cancel()  # the step is stored; it need not run again

    def begin(self, call: Call, title: str) -> None:
        """See `Driver`."""
        self._output.settle()
        self._write(lambda tx: runs.begin_step(tx, self._held, call, title))

    def note(self, call: Call, record: Record) -> None:
        """See `Driver`."""
        self._write(self._finished(call, record))

    async def finish(self, call: Call, record: Record) -> None:
        """See `Driver`."""
        await self._write(self._finished(call, record))

    async def ask(self, asked: list[tuple[Call, Any]]) -> list[Answered]:
        """See `Driver`."""
        answers: dict[int, Answered] = {}
        waiting: dict[int, Answer] = {}
        new: list[tuple[Call, Any, UUID]] = []
        for call, prompt in asked:
            entry = self.recall(call)
            if entry is not None and entry.finished:
                answers[call.position] = Answered(
                    entry.result, entry.by, entry.settled_at, is_default=entry.is_default
                )
            else:
                interaction = entry.interaction if entry is not None else None
                if interaction is None:
                    interaction = uuid4()
                    new.append((call, prompt, interaction))
                waiting[call.position] = self._waiting.expect(interaction)
        if waiting:
            await self._wait_for_people(set(waiting.values()), new)
            answers |= {position: future.result() for position, future in waiting.items()}
        return [answers[call.position] for call, _ in asked]

    async def sleep(self, call: Call, until: datetime) -> None:
        """See `Driver`."""
        left = (until - timezone.now()).total_seconds()
        recorded = self.recall(call) is not None
        if recorded and left <= 0:
            return
        alone = self._waiting.nothing
        with self._waiting.sleep(call.position, until):
            if not recorded:
                self._output.settle()
                await self._write(
                    partial(runs.begin_sleep, held=self._held, call=call, until=until, alone=alone)
                )
            async with self._released():
                await asyncio.sleep(max(left, 0))
        await self._write(lambda tx: runs.awake(tx, self._held))

    # --- how it executes

    async def _drive(self) -> None:
        try:
            await self._execute()
        except asyncio.CancelledError:
            await self._left()
        except (Fenced, ConversationGone, StorageUnavailable) as error:
            self.failure = error
        except (NonDeterminism, NotJson) as error:
            await self._end(Run.Status.SUSPENDED, type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - workflow code may raise anything
            await self._failed(error)
        else:
            if self._leaving is Leaving.STOP:
                await self._end(Run.Status.CANCELLED)
            elif self._leaving is None:
                await self._end(Run.Status.COMPLETED)

    async def _execute(self) -> None:
        await self._contact.sure()  # a builder may be built now
        run, conversation = self.run, self.run.conversation
        message = Message(run.text, run.schema_type, run.message_id)
        async with (
            self._manager.session(
                user_manager=Person.of(conversation.owner),
                http_connection=RequestMetadata.of_stored(run.metadata),
                user_message_id=run.message_id,
                conversation_id=conversation.conversation_id,
            ) as session,
            session.run(message, run_id=str(run.id), driver=self) as runner,
        ):
            self._runner = runner
            async with aclosing(runner.result_stream()) as chunks:
                async for chunk in chunks:
                    if runner.context.position >= self._journal.last_position:
                        await self._output.emit(chunk)
            self._check_end(runner.context.position)
            self._output.settle()

    def _check_end(self, position: int) -> None:
        if self._mismatch is not None:
            raise self._mismatch
        self._journal.check_complete(position)

    async def _left(self) -> None:
        if self._leaving is Leaving.STOP:
            await self._end(Run.Status.CANCELLED)
        elif self._leaving is Leaving.BROKEN and not isinstance(self.failure, SessionsError):
            # Not that the database is away: it does not take what the run gives it.
            self._lane = Lane(beside=self._lane)
            await self._report(self.failure)
        elif self._leaving is None:
            raise asyncio.CancelledError

    async def _failed(self, error: Exception) -> None:
        if self._leaving in (Leaving.STOP, Leaving.BROKEN):
            await self._left()
        elif self._mismatch is not None:  # the workflow made another error of it
            await self._end(Run.Status.SUSPENDED, "NonDeterminism", str(self._mismatch))
        elif self._leaving is None:
            await self._report(error)

    async def _report(self, error: BaseException | None) -> None:
        """Fail. Our own errors are written for people; those of other code may hold internals."""
        log.warning("run.failed", run=str(self.run.id), exc_info=error)
        reason = f"The workflow failed ({type(error).__name__})."
        if isinstance(error, BuilderFailed):
            reason = "What the workflow needs could not be built. Try again later."
        elif isinstance(error, SessionsError):
            reason = str(error)
        detail = "".join(traceback.format_exception(error))[-8000:]
        await self._end(Run.Status.FAILED, "workflow_error", reason, detail)

    async def _end(
        self, status: Run.Status, code: str = "", message: str = "", detail: str = ""
    ) -> None:
        error = {"code": code, "message": message} if code else None
        try:
            await writer.write(
                lambda tx: runs.end(tx, self._held, status, error=error, detail=detail),
                self._lane,
            )
        except SessionsError as failure:
            self.failure = failure

    # --- waiting

    async def _wait_for_people(
        self, answers: set[Answer], new: list[tuple[Call, Any, UUID]]
    ) -> None:
        alone = self._waiting.nothing
        if new:
            self._output.settle()
            await self._write(
                partial(runs.open_interactions, held=self._held, asked=new, alone=alone)
            )
        with self._waiting.ask(answers):
            async with self._released():
                await asyncio.wait(answers)

    # --- writing

    def _finished(self, call: Call, record: Record) -> Work[None]:
        self._output.settle()
        return lambda tx: runs.finish_call(tx, self._held, call, record)

    def _write(self, work: Work[Any]) -> "asyncio.Future[Any]":
        """Write in the run's lane. A write that fails ends the execution, awaited or not."""
        future = writer.write(work, self._lane)
        future.add_done_callback(self._written)
        return future

    def _written(self, future: "asyncio.Future[Any]") -> None:
        if future.cancelled() or (error := future.exception()) is None:
            return
        if isinstance(error, Fenced):
            log.warning("write.fenced", run=str(self.run.id))
        self.failure = self.failure or error
        self.leave(Leaving.BROKEN)
