"""The start and stop of this process's runtime: notifier, dispatcher, reports, maintenance."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

from sessions_app.hosting.dispatch.dispatcher import Dispatcher, ProcrastinateDispatcher
from sessions_app.hosting.dispatch.local import LocalDispatcher
from sessions_app.lifecycle.due import maintain
from sessions_app.lifecycle.processes import report, sign_off
from sessions_app.models import Process
from sessions_app.notify.announce import install
from sessions_app.notify.notifier import Notifier
from sessions_app.settings import RuntimeSettings
from sessions_app.signals.delivery import Delivery
from sessions_app.storage import caller_thread, clock, reads
from sessions_app.storage.writer import writer

# Seconds that sockets and streams may take to end before the runtime stops.
GOODBYE = 3.0
# Functions that end sockets and streams; all are called concurrently before the runtime stops.
before_stop: list[Callable[[], Coroutine[None, None, None]]] = []
# Background tasks of optional applications by name, started in each process that hosts runs.
beside_hosting: dict[str, Callable[[], Coroutine[None, None, None]]] = {}
# Maximum of threads for `asyncio.to_thread`, in workflows and for files. Their functions mostly
# wait, so asyncio's default, the number of processors plus four, would be too low.
WAITING_THREADS = 64


class _Runtime:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self.notifier = Notifier()
        install(dispatcher)
        self.dispatcher = dispatcher
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        caller_thread.begin_runtime()
        threads = ThreadPoolExecutor(WAITING_THREADS, thread_name_prefix="waiting")
        asyncio.get_running_loop().set_default_executor(threads)
        await reads.read(clock.measure)  # before a host stores the first time
        await self.notifier.start()
        writer.on_commit = self.notifier.publish
        await self.dispatcher.start()
        works = {"reports": report(self.dispatcher)}
        kind = self.dispatcher.report().kind
        if kind == Process.Kind.BOTH:  # in a cluster, periodic jobs of workers do this
            works["maintenance"] = maintain()
        if kind != Process.Kind.WEB:  # processes that host runs also send signals
            signals = Delivery(is_single_process=kind == Process.Kind.BOTH).main()
            works |= {"signals": signals, **{name: work() for name, work in beside_hosting.items()}}
        self.tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.dispatcher.stop()
        await sign_off()
        install(None)
        await asyncio.to_thread(writer.stop)
        writer.on_commit = None
        await self.notifier.stop()
        clock.forget()
        caller_thread.end_runtime()


_running: list[_Runtime] = []


async def start(dispatcher: Dispatcher | None = None) -> None:
    """Start the runtime of this process, unless it is up already.

    A single process resumes every unfinished run; with many processes, the workers do this.

    Args:
        dispatcher: the dispatcher of a worker. By default, a single process hosts runs itself, and
            a web process beside workers queues jobs for these.
    """
    if not _running:
        gc.freeze()  # garbage collection need not scan imported objects, which are never freed
        if dispatcher is None:
            cluster = RuntimeSettings.load().cluster
            dispatcher = ProcrastinateDispatcher() if cluster else LocalDispatcher()
        runtime = _Runtime(dispatcher)
        _running.append(runtime)
        await runtime.start()


def is_up() -> bool:
    """Return whether the runtime is up in this process."""
    return bool(_running)


def hosts_runs() -> bool:
    """Return whether the runtime of this process hosts runs."""
    return any(runtime.dispatcher.hosts is not None for runtime in _running)


async def stop() -> None:
    """Stop the runtime: runs are evicted, and continue elsewhere or at the next start."""
    await asyncio.gather(*(close() for close in before_stop))
    if _running:
        await _running.pop().stop()
