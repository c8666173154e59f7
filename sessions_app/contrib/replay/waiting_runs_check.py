"""The check that waiting runs still match the code, made before anybody answers their questions."""

import asyncio
import time
from uuid import UUID

from sessions_app.contrib.replay.history_replay import Replay, replay_all
from sessions_app.errors import StorageUnavailable
from sessions_app.hosting.lease import this_process
from sessions_app.lifecycle import processes
from sessions_app.logs import Log
from sessions_app.models import Process, Run
from sessions_app.storage import reads
from sessions_app.storage.storable import storable
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry

log = Log(__name__)

# Seconds from the start of the process to the check: resumable runs come first, and by then all
# processes have reported their start.
BEGINS_AFTER = 5.0
# Factor of the pause after a replay, relative to the duration of the replay.
PAUSE_FACTOR = 20
RUNS_AT_ONCE = 100


async def check_after_start() -> None:
    """Check the waiting runs once, as the code does not change while a process runs."""
    await asyncio.sleep(BEGINS_AFTER)
    try:
        await check_waiting_runs()
    except StorageUnavailable:
        log.warning("replay_check.storage_unavailable")
    except Exception:
        log.exception("replay_check.failed")


async def check_waiting_runs() -> None:
    """Replay waiting runs without side effects; log and store why a run could not continue.

    Of several processes, only the one that started last does this, as it has the newest code.
    Workflows with a builder are left to `manage.py check_replay`, as it would have to be built.
    """
    after, counts = UUID(int=0), {"replayed": 0, "stopped": 0}
    # The first run with each problem, as one cause may stop many runs.
    first: dict[str, UUID] = {}
    while runs := await reads.read(_waiting_runs, after):
        after = max(runs)
        if await reads.read(_is_newer_one_up):
            return
        began = time.monotonic()
        async for replay in replay_all(runs):
            counts["replayed"] += 1
            counts["stopped"] += bool(replay.problem)
            _log(replay, first)
            await _store(replay, runs[replay.history.run])
            await asyncio.sleep(PAUSE_FACTOR * (time.monotonic() - began))
            began = time.monotonic()
    log.info("replay_check.done", **counts)


def _log(replay: Replay, first: dict[str, UUID]) -> None:
    if replay.problem:
        run = replay.history.run
        same_as = first.setdefault(replay.problem, run)
        fields = {"error": replay.problem} if same_as == run else {"same_as": str(same_as)}
        log.error("run.mismatch_waits", run=str(run), **fields)


async def _store(replay: Replay, before: str) -> None:
    """Store the problem of a replay if it differs from the stored one, `before`."""
    # Update only unfinished runs: the run may have ended since the query.
    runs = Run.objects.filter(pk=replay.history.run, status__in=Run.UNFINISHED)
    if replay.problem != before:
        await writer.write(lambda tx: runs.update(replay_problem=storable(replay.problem)))


def _waiting_runs(after: UUID) -> dict[UUID, str]:
    """Return the next waiting runs, by id, each with its stored problem."""
    workflows = [offer.workflow for offer in registry.offered_workflows()]
    workflow_names = [
        workflow.name
        for workflow in workflows
        if not (workflow.shared_builder or workflow.per_user_builder)
    ]
    runs = Run.objects.filter(status=Run.Status.WAITING, workflow__in=workflow_names, pk__gt=after)
    return dict(runs.order_by("pk").values_list("pk", "replay_problem")[:RUNS_AT_ONCE])


def _is_newer_one_up() -> bool:
    own_process = Process.objects.filter(name=this_process()).first()
    other_processes = [process for process in processes.alive() if process.kind != Process.Kind.WEB]
    return own_process is not None and any(
        (process.started_at, process.name) > (own_process.started_at, own_process.name)
        for process in other_processes
    )
