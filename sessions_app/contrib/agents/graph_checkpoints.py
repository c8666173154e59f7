"""A LangGraph checkpointer whose checkpoints are rows of the run, written in its transactions."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any, TypeVar
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.types import Interrupt

from sessions_app.contrib.agents.models import GraphCheckpoint, GraphWrite
from sessions_app.errors import Unrecorded
from sessions_app.json_types import JsonObject
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction

T = TypeVar("T")

IN_LOOP = (
    "An async node called a graph with invoke() or stream(), which would stop the server while the "
    "graph works. Write `await graph.ainvoke(…)`, or make the node a plain function."
)
# Channels with what happened to a task, not with what it wrote. LangGraph has no public name of the
# last one, which says that a node's error handler takes over.
MARKS = {ERROR, INTERRUPT, RESUME, "__error_source_node__"}
# Name in a checkpoint's metadata of what its `DeltaChannel`s need of earlier checkpoints.
DELTAS = "counters_since_delta_snapshot"
FAILED = WRITES_IDX_MAP[ERROR]  # number of the write that says that a task failed
WRITE_KEY = ["run", "namespace", "checkpoint", "task", "number"]
WRITE_VALUES = ["path", "channel", "value_form", "value"]

# Function that executes writes to rows of a run; awaiting it waits for the commit.
Store = Callable[[Callable[[Transaction], None]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Written:
    """The writes of tasks since a checkpoint: (task, channel, value) of each, in order."""

    writes: Sequence[tuple[str, str, Any]]

    @property
    def values(self) -> list[tuple[str, Any]]:
        """The task and the value of each write, except marks."""
        return [(task, value) for task, channel, value in self.writes if channel not in MARKS]

    def interrupts_of_others(self, tasks: Collection[str]) -> list[Interrupt]:
        """Return the open interrupts of tasks other than these: of error handlers."""
        finished = {task for task, _ in self.values}
        return [
            interrupt
            for task, channel, value in self.writes
            if channel == INTERRUPT and task not in finished and task not in tasks
            for interrupt in value
        ]


class GraphCheckpoints(BaseCheckpointSaver[int]):
    """The checkpoints of graphs, in rows. LangGraph's `thread_id` is the id of the run."""

    def __init__(self, store: Store, *, kept: int | None = None) -> None:
        """Make a checkpointer that writes through `store`; call in the running event loop.

        `kept`: the number of checkpoints that each namespace keeps; by default all. Checkpoints of
        a state with `DeltaChannel`s are all kept, because a later one needs the earlier ones.
        """
        super().__init__()
        self._store = store
        self._kept = kept
        self._loop = asyncio.get_running_loop()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that the configuration names, or else the latest of its thread."""
        where = self._where(config)
        latest = await reads.read(lambda: list(self._tuples(where, 1)))
        return latest[0] if latest else None

    async def awritten(self, config: RunnableConfig | None) -> Written:
        """Return the writes since the checkpoint that the configuration names."""
        if config is None or not get_checkpoint_id(config):
            return Written([])
        where = self._where(config)
        return Written(await reads.read(lambda: self._writes(where)))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: JsonObject | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, latest first; `filter` selects by metadata."""
        where = {} if config is None else self._where(config)
        if config is not None and "checkpoint_ns" not in config["configurable"]:
            del where["namespace"]
        if before is not None:
            where["checkpoint__lt"] = get_checkpoint_id(before)
        tuples = await reads.read(lambda: list(self._tuples(where, None)))
        by = (filter or {}).items()
        kept = [one for one in tuples if all(one.metadata.get(key) == value for key, value in by)]
        for one in kept[:limit]:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and return the configuration that names it."""
        data_form, data = self.serde.dumps_typed(checkpoint)
        whole = get_checkpoint_metadata(config, metadata)
        metadata_form, metadata_data = self.serde.dumps_typed(whole)
        key_columns = self._key_columns(config)
        columns: JsonObject = {
            "parent": config["configurable"].get("checkpoint_id") or "",
            "data_form": data_form,
            "data": data,
            "metadata_form": metadata_form,
            "metadata": metadata_data,
        }

        def work(_tx: Transaction) -> None:
            GraphCheckpoint.objects.update_or_create(
                **key_columns, checkpoint=checkpoint["id"], defaults=columns
            )
            if self._kept is not None and DELTAS not in whole:
                self._delete_old(key_columns, self._kept)

        await self._store(work)
        return self._config(key_columns["run_id"], key_columns["namespace"], checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store a task's writes since a checkpoint; ordinary writes already stored are kept.

        Of a task that failed or was cancelled only the marks are stored: it has to run again. A
        later try of the task replaces them.
        """
        task: JsonObject = {
            **self._key_columns(config),
            "checkpoint": config["configurable"]["checkpoint_id"],
            "task": task_id,
        }
        if any(channel == ERROR for channel, _ in writes):
            writes = [one for one in writes if one[0] in MARKS]
        rows = []
        for index, (channel, value) in enumerate(writes):
            form, data = self.serde.dumps_typed(value)
            number = WRITES_IDX_MAP.get(channel, index)
            columns: JsonObject = {"number": number, "path": task_path, "channel": channel}
            rows.append(GraphWrite(**task, **columns, value_form=form, value=data))
        reserved = [row for row in rows if row.number < 0]

        def work(_tx: Transaction) -> None:
            stored = GraphWrite.objects.filter(**task)
            if stored.filter(number=FAILED).exists():
                stored.filter(number__gte=FAILED).delete()
            GraphWrite.objects.bulk_create(
                reserved, update_conflicts=True, unique_fields=WRITE_KEY, update_fields=WRITE_VALUES
            )
            GraphWrite.objects.bulk_create(
                [row for row in rows if row.number >= 0], ignore_conflicts=True
            )

        await self._store(work)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints of a thread."""
        run_id = self.run_of(thread_id)

        def work(_tx: Transaction) -> None:
            GraphCheckpoint.objects.filter(run_id=run_id).delete()
            GraphWrite.objects.filter(run_id=run_id).delete()

        await self._store(work)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the result of `aget_tuple`, for a node that runs in a thread."""
        return self._wait(self.aget_tuple(config))

    def list(self, *args: Any, **options: Any) -> Iterator[CheckpointTuple]:
        """Yield the results of `alist`, for a node that runs in a thread."""

        async def read_all() -> Sequence[CheckpointTuple]:
            return [one async for one in self.alist(*args, **options)]

        yield from self._wait(read_all())

    def put(self, *args: Any, **options: Any) -> RunnableConfig:
        """Store a checkpoint as `aput` does, for a node that runs in a thread."""
        return self._wait(self.aput(*args, **options))

    def put_writes(self, *args: Any, **options: Any) -> None:
        """Store writes as `aput_writes` does, for a node that runs in a thread."""
        self._wait(self.aput_writes(*args, **options))

    def delete_thread(self, thread_id: str) -> None:
        """Delete checkpoints as `adelete_thread` does, for a node that runs in a thread."""
        self._wait(self.adelete_thread(thread_id))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Execute a coroutine in the event loop from this thread, and wait for its result."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        work.close()
        raise RuntimeError(IN_LOOP)

    def run_of(self, thread_id: str) -> UUID:
        """Return the run id of a thread."""
        return UUID(thread_id)

    def thread_of(self, run_id: UUID) -> str:
        """Return the thread id of a run."""
        return str(run_id)

    @staticmethod
    def _delete_old(where: JsonObject, kept: int) -> None:
        """Delete all but the latest checkpoints of a namespace, with their tasks' writes."""
        rows = GraphCheckpoint.objects.filter(**where)
        latest = rows.order_by("-checkpoint").values_list("checkpoint", flat=True)
        for oldest in latest[kept - 1 : kept]:
            rows.filter(checkpoint__lt=oldest).delete()
            GraphWrite.objects.filter(**where, checkpoint__lt=oldest).delete()

    def _key_columns(self, config: RunnableConfig) -> JsonObject:
        configurable = config["configurable"]
        run_id = self.run_of(configurable["thread_id"])
        return {"run_id": run_id, "namespace": configurable.get("checkpoint_ns", "")}

    def _where(self, config: RunnableConfig) -> JsonObject:
        checkpoint = get_checkpoint_id(config)
        return self._key_columns(config) | ({"checkpoint": checkpoint} if checkpoint else {})

    def _config(self, run_id: UUID, namespace: str, checkpoint: str) -> RunnableConfig:
        return {
            "configurable": {
                "thread_id": self.thread_of(run_id),
                "checkpoint_ns": namespace,
                "checkpoint_id": checkpoint,
            }
        }

    def _tuples(self, where: JsonObject, limit: int | None) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, latest first, each with tasks' writes since then. Reads the database.

        Raises:
            Unrecorded: a checkpoint has a class that LangGraph may not read.
        """
        for row in GraphCheckpoint.objects.filter(**where).order_by("-checkpoint")[:limit]:
            key_columns = {
                "run_id": row.run_id,
                "namespace": row.namespace,
                "checkpoint": row.checkpoint,
            }
            parent = self._config(row.run_id, row.namespace, row.parent) if row.parent else None
            with _nothing_blocked():
                checkpoint_tuple = CheckpointTuple(
                    config=self._config(row.run_id, row.namespace, row.checkpoint),
                    checkpoint=self._load(row.data_form, row.data),
                    metadata=self._load(row.metadata_form, row.metadata),
                    parent_config=parent,
                    pending_writes=[*self._writes(key_columns)],
                )
            yield checkpoint_tuple

    def _writes(self, where: JsonObject) -> Sequence[tuple[str, str, Any]]:
        """Return (task, channel, value) of each write, in order. Reads the database.

        Leaves out what a failed task had written, which version 0.1.0 stored.
        """
        rows = sorted(
            GraphWrite.objects.filter(**where),
            key=lambda row: writes_sort_key(row.path, row.task, row.number),
        )
        failed = {row.task for row in rows if row.number == FAILED}
        return [
            (row.task, row.channel, self._load(row.value_form, row.value))
            for row in rows
            if row.task not in failed or row.channel in MARKS
        ]

    def _load(self, form: str, data: bytes | memoryview) -> Any:
        return self.serde.loads_typed((form, bytes(data)))


@contextmanager
def _nothing_blocked() -> Iterator[None]:
    """Raise Unrecorded if LangGraph did not load a stored class; LangGraph only logs this."""
    blocked: list[str] = []
    thread = get_ident()

    def listen(event: SerdeEvent) -> None:
        if get_ident() == thread and event["kind"].endswith("_blocked"):
            blocked.append(f"{event['module']}.{event['name']}")

    forget = register_serde_event_listener(listen)
    try:
        yield
    finally:
        forget()
    if blocked:
        raise Unrecorded(
            f"The state of the graph has a {blocked[0]}, which LANGGRAPH_STRICT_MSGPACK does not "
            "allow to be read. Name the class in a schema of the graph, and resume the run."
        )
