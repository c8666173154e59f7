"""`manage.py worker`: a process that hosts runs, in a cluster."""

import asyncio
import os
import signal
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from sessions_app.hosting import lease
from sessions_app.hosting.dispatch.dispatcher import Duty
from sessions_app.lifecycle import startup
from sessions_app.lifecycle.start_checks import check_start
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import clock

ALIVE_EVERY = 1.0  # seconds between two touches of the alive file
DUTY = Duty()


class Command(BaseCommand):
    """The command that acquires jobs until SIGTERM or Ctrl-C, and then stops within `--drain`."""

    help = "Hosts runs, beside the web processes. Start as many as you need, on any machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--queues",
            type=_names,
            default=DUTY.queues,
            metavar="NAME,NAME",
            help="only workflows of these queues (`queue` in the workflows file); else of all",
        )
        parser.add_argument(
            "--concurrency",
            type=_positive,
            default=DUTY.concurrency,
            metavar="N",
            help="hosts at once: users of per-user workflows, and conversations (%(default)s)",
        )
        parser.add_argument(
            "--drain",
            type=float,
            default=DUTY.drain,
            metavar="SECONDS",
            help="how long a step that is under way at SIGTERM may take to end (%(default)s)",
        )
        parser.add_argument(
            "--alive-file",
            type=Path,
            metavar="PATH",
            help="is touched every second while the worker takes work: for probes",
        )

    def handle(self, *_args: object, **options: Any) -> None:
        if not RuntimeSettings.load().cluster:
            raise CommandError(
                "One process hosts its runs itself and needs no workers. For several, name a "
                "PostgreSQL in DATABASES and a Redis in HITL (in the example project: DATABASE_URL "
                "and REDIS_URL); see docs/deployment.md."
            )
        try:
            check_start()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if options["alive_file"] is not None:
            options["alive_file"].unlink(missing_ok=True)  # remove the file of an earlier worker
        duty = Duty(options["queues"], options["concurrency"], options["drain"])
        asyncio.run(self._work(duty, options["alive_file"]))

    async def _work(self, duty: Duty, alive_file: Path | None) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _stop, stop)
        # Import late: the worker dispatcher needs packages that only clusters install.
        dispatcher = import_string("sessions_app.hosting.dispatch.worker.WorkerDispatcher")
        dispatcher = dispatcher(duty, park_after=RuntimeSettings.load().PARK_AFTER)
        await startup.start(dispatcher)
        queues = ", ".join(duty.queues) or "all queues"
        with suppress(OSError):  # stdout may be closed, or the disk full: go on
            self.stdout.write(f"Worker {lease.this_process()} takes jobs of {queues}.")
            self.stdout.flush()
        while not stop.is_set():
            is_working = dispatcher.report().job_worker is not None and clock.is_right()
            if alive_file is not None and is_working:
                # Touch the file in the event loop, to show that the loop is not blocked.
                alive_file.touch()  # noqa: ASYNC240 - takes no time
            with suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_EVERY):
                    await stop.wait()
        await startup.stop()


def _stop(stop: asyncio.Event) -> None:
    """Stop gracefully on the first signal; exit at once on the second."""
    if stop.is_set():
        os._exit(1)
    stop.set()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{number} is not 1 or more")
    return number
