"""The same closed loop of people on 1, 2 and 4 workers: how throughput grows, and what bounds it.

Each run waits 100 ms in its place under the limit of its process, as one does for a model or a
service, and then asks; the person answers at once and sends the next message. So a worker is full
while its processor is idle, and more workers help where more processors are not to be had.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.beside.clients import Figures, answer_to_end, percentile, socket
from bench.contenders import processor_time
from tests.support.server import Server, Template

COUNTS = (1, 2, 4)
PEOPLE = 48
WARM_UP = 2.0
SECONDS = 8.0
# Places in each worker process: 2 runs that wait 100 ms make 20 runs a second at most.
WORKFLOWS = "default: probe\nworkflows:\n  probe:\n    max_concurrency: 2\n"
MESSAGE = "ask(delay=0.1)"


# Of PostgreSQL: the process whose children serve its connections.
POSTMASTER = r"SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int AS pid"


@dataclass
class Load:
    """The runs that ended: when, and their milliseconds from message and from answer to the end."""

    runs: list[tuple[float, float, float]] = field(default_factory=list)

    def between(self, begin: float, end: float) -> list[tuple[float, float]]:
        """Return the times of those that ended in the span."""
        return [(run, answer) for at, run, answer in self.runs if begin <= at < end]


async def person(server: Server, number: int, load: Load, until: float) -> None:
    """Send one message after another on a conversation of one's own."""
    async with socket(server, f"person{number}") as client:
        while time.perf_counter() < until:
            began = time.perf_counter()
            await client.message(MESSAGE)
            answer = await answer_to_end(client)
            end = time.perf_counter()
            load.runs.append((end, 1000 * (end - began), answer))


def busy(server: Server) -> dict[str, float]:
    """Seconds of processor time so far, of all that may bound it."""
    postmaster = server.rows(POSTMASTER)[0]["pid"]
    return {
        "web": processor_time(server.web.pid),
        "workers": sum(processor_time(worker.pid) for worker in server.workers),
        "PostgreSQL": processor_time(postmaster),
        "people": time.process_time(),
    }


async def _load(server: Server) -> Figures:
    load = Load()
    begin = time.perf_counter() + WARM_UP
    end = begin + SECONDS
    people = [asyncio.create_task(person(server, n, load, end)) for n in range(PEOPLE)]
    await asyncio.sleep(WARM_UP)
    before = busy(server)
    await asyncio.sleep(SECONDS)
    cpu_seconds = {name: seconds - before[name] for name, seconds in busy(server).items()}
    await asyncio.gather(*people)
    ended_runs = load.between(begin, end)
    return {
        "runs/s": len(ended_runs) / SECONDS,
        "answer to end, p50 ms": percentile([answer for _, answer in ended_runs], 50),
        **{
            f"{name}, % of a core": 100 * seconds / SECONDS for name, seconds in cpu_seconds.items()
        },
    }


def measure(template: Template, directory: Path) -> Figures:
    """Measure the load on each number of workers."""
    directory.mkdir()
    workflows_file = directory / "workflows.yaml"
    workflows_file.write_text(WORKFLOWS)
    figures: Figures = {}
    for count in COUNTS:
        server = Server.from_template(
            template, directory / f"{count}", workers=count, WORKFLOWS_FILE=str(workflows_file)
        )
        server.start()
        try:
            server.until_workers()
            load_figures = asyncio.run(_load(server))
        finally:
            server.drop()
        figures |= {
            f"{count} worker{'s'[: count - 1]}: {name}": figure
            for name, figure in load_figures.items()
        }
    return figures
