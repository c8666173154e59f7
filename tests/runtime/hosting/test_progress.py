"""Tests that a run's memory of its own writes equals the committed rows."""

import threading
import weakref
from functools import partial

import pytest

from sessions_app import runs
from sessions_app.hosting.lease import Lease
from sessions_app.hosting.run_writes import LeasedRun, block
from sessions_app.models import HostLease, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, writer
from tests.support.database.stored_log import log_record
from tests.support.hosting import running, until_true
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # the import declares the workflow


class NeighbourFailed(Exception):
    pass


def fail(tx: Transaction) -> None:
    raise NeighbourFailed


async def in_hand(row: Run, crashes: int = 0) -> LeasedRun:
    """Return the run as its host holds it in memory."""
    await reads.read(Run.objects.filter(pk=row.pk).update, crashes=crashes)
    generation = (await reads.read(HostLease.objects.get)).generation
    return LeasedRun(Lease(HostKey(row.key), generation), log_record(row), crashes=crashes)


async def test_progress_that_is_written_again_after_a_neighbour_failed_is_stored() -> None:
    async with running("expense_approval", "Taxi 10") as (hosting, run):
        leased = await in_hand(await hosting.until_status(run, "waiting"), crashes=2)
        lane, gate = Lane(), threading.Event()
        # The two writes behind the first one are queued meanwhile and share a transaction, which is
        # rolled back.
        first = writer.write(lambda tx: gate.wait(10), Lane(order_of=lane))
        progress = writer.write(leased.reset_crashes, Lane(order_of=lane))
        neighbour = writer.write(fail, Lane(order_of=lane))
        gate.set()
        assert await first
        await progress
        with pytest.raises(NeighbourFailed):
            await neighbour
        assert (await reads.read(Run.objects.get)).crashes == 0


async def test_progress_is_written_once() -> None:
    async with running("expense_approval", "Taxi 10") as (hosting, run):
        leased = await in_hand(await hosting.until_status(run, "waiting"), crashes=1)
        await writer.write(leased.reset_crashes)
        await reads.read(lambda: Run.objects.update(crashes=7))
        await writer.write(leased.reset_crashes)
        assert (await reads.read(Run.objects.get)).crashes == 7


async def test_a_run_that_has_ended_when_it_is_found_to_block_is_not_suspended() -> None:
    async with running("expense_approval", "Taxi 10") as (hosting, run):
        await runs.acancel(run)
        leased = await in_hand(await hosting.until_ended(run))
        await writer.write(partial(block, leased_run=leased, stack="spin()"))
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED


async def test_a_run_that_blocks_leaves_its_neighbours_uncharged() -> None:
    async with running("probe", "stream(tokens=600, delay=0.05)") as (hosting, neighbour):
        leased = await in_hand(await hosting.until_status(neighbour, "running"), crashes=1)
        blocks = await hosting.submit("stream(tokens=600, delay=0.05)", conversation="d")
        row = await hosting.until_status(blocks, "running")
        key = HostKey(row.key)
        generation = (await reads.read(HostLease.objects.get, key=key)).generation
        blocking = LeasedRun(Lease(key, generation), log_record(row))
        await writer.write(partial(block, leased_run=blocking, stack="spin()"))
        assert (await reads.read(Run.objects.get, pk=leased.run.id)).crashes == 0


class Nothing:
    """An object for work that writes nothing."""

    def __call__(self, tx: Transaction) -> None:
        pass


async def test_the_writer_keeps_nothing_of_what_it_wrote() -> None:
    work = Nothing()
    work_ref = weakref.ref(work)
    await writer.write(work)
    del work
    await until_true(lambda: work_ref() is None)
