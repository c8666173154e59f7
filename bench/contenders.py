"""The compared servers: ours in both forms and under both web servers, and the peers.

Each server is started with its usual command, in separate processes, until the context ends.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import psycopg

from bench.load import Target
from natproject import serving
from natproject.cluster.processes import WEB, WORKERS
from natproject.cluster.servers import PostgreSQL, Redis
from tests.support.processes.environment import HOST, ROOT, environment
from tests.support.server import ALIVE, free_port

PEOPLE = [f"person{number}" for number in range(64)]
PEERS = ROOT / "bench" / "peers"
# The peers' environment may belong to another checkout of this repository.
PEERS_PYTHON = ROOT / os.environ.get("PEERS", ".venv-peers") / "bin" / "python"
START = 60.0


@dataclass(frozen=True)
class Contender:
    """A running server: its URLs and its processes."""

    target: Target
    pids: list[int]

    def busy(self) -> float:
        """Return the seconds of processor time that the server has used so far."""
        return sum(processor_time(pid) for pid in self.pids)


def processor_time(pid: int) -> float:
    """Return the seconds of processor time of a process and all children, even ended ones."""
    seconds = sum(psutil.Process(pid).cpu_times()[:4])
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:2])
    return float(seconds)


@contextmanager
def program(command: list[str], log: Path, env: dict[str, str], cwd: Path = ROOT) -> Iterator[int]:
    """Run a command for the context, and yield its process id."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=cwd)
    try:
        yield process.pid
        if process.poll() is not None:
            raise RuntimeError(f"{log.stem} has ended: {log.read_text()[-2000:]}")
    finally:
        process.kill()
        process.wait()


def until_healthy(port: int, log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + START
    while True:
        with suppress(OSError, HTTPException), closing(HTTPConnection(HOST, port)) as connection:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{log.stem} does not answer: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def until_workers(url: str) -> None:
    """Wait until all workers accept runs, so that each gets a share."""
    deadline = time.monotonic() + START
    with psycopg.connect(url, autocommit=True) as connection:
        while len(connection.execute(ALIVE).fetchall()) < WORKERS:
            assert time.monotonic() < deadline, "the workers do not come"
            time.sleep(0.05)


def seed_people(env: dict[str, str], root: Path = ROOT) -> list[str]:
    """Migrate the database, create the users, and return a cookie of each."""
    command = [sys.executable, "-m", "tests.support.database.migrate_and_seed"]
    names = json.dumps(PEOPLE)
    output = subprocess.check_output(command, env=env, cwd=root, input=names, text=True)
    return [f"sessionid={cookie}" for cookie in json.loads(output).values()]


def ours_target(ports: list[int], cookies: list[str]) -> Target:
    """Return the target of our servers, with the probe as workflow."""
    return Target([f"ws://{HOST}:{port}" for port in ports], cookies, "&workflow=probe")


@contextmanager
def local(directory: Path, server: str = "daphne", root: Path = ROOT) -> Iterator[Contender]:
    """Start our server in one process, on SQLite."""
    port = free_port()
    env = environment(directory, PORT=str(port))
    del env["WORKFLOWS_FILE"]  # the measured checkout may have other workflows
    cookies = seed_people(env, root)
    command = [sys.executable, "-m", server, *serving.SERVERS[server](HOST, port)]
    log = directory / "web.log"
    with program(command, log, env, root) as pid:
        until_healthy(port, log)
        yield Contender(ours_target([port], cookies), [pid])


@contextmanager
def cluster(directory: Path) -> Iterator[Contender]:
    """Start our servers in as many processes as `make cluster`, on PostgreSQL and Redis."""
    with ExitStack() as stack:
        postgresql = stack.enter_context(PostgreSQL(directory / "postgresql"))
        redis = stack.enter_context(Redis(directory / "redis"))
        env = environment(directory, DATABASE_URL=postgresql.url(), REDIS_URL=redis.url())
        cookies = seed_people(env)
        ports = [free_port() for _ in range(WEB)]
        webs = [["daphne", *serving.daphne_arguments(HOST, port)] for port in ports]
        commands = [["-m", *web] for web in webs] + [["manage.py", "worker"]] * WORKERS
        logs = [directory / f"process{number}.log" for number in range(len(commands))]
        pids = [
            stack.enter_context(program([sys.executable, *command], log, env))
            for command, log in zip(commands, logs, strict=True)
        ]
        for port, log in zip(ports, logs, strict=False):
            until_healthy(port, log)
        until_workers(postgresql.url())
        yield Contender(ours_target(ports, cookies), [*pids, postgresql.pid, redis.pid])


@contextmanager
def nat(directory: Path) -> Iterator[Contender]:
    """Start `nat serve` with its defaults."""
    port = free_port()
    options = ["--config_file", "nat.yaml", "--host", HOST, "--port", str(port)]
    command = [str(PEERS_PYTHON), "nat_serve.py", "serve", *options]
    log = directory / "nat.log"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with program(command, log, env, PEERS) as pid:
        until_healthy(port, log)
        yield Contender(
            Target([f"ws://{HOST}:{port}"], [f"nat-session={name}" for name in PEOPLE]), [pid]
        )


@dataclass(frozen=True)
class InProcess:
    """A peer without a server: a script that answers its own prompts."""

    script: str
    options: tuple[str, ...] = ()
    postgresql: bool = False
    people: tuple[int, ...] = (1, 16, 64)

    def measure(self, directory: Path, people: int, seconds: float) -> dict[str, float]:
        """Run the script on a new database, and return its figures."""
        with ExitStack() as stack:
            database, pids = str(directory / "db.sqlite3"), []
            if self.postgresql:
                service = stack.enter_context(PostgreSQL(directory / "postgresql"))
                database, pids = service.url(), [service.pid]
            arguments = [database, str(people), str(seconds), *self.options]
            command = [str(PEERS_PYTHON), self.script, *arguments]
            log = stack.enter_context((directory / "peer.log").open("w+"))
            process = stack.enter_context(
                subprocess.Popen(command, cwd=PEERS, stdout=subprocess.PIPE, stderr=log, text=True)
            )
            assert process.stdout
            pids.append(process.pid)
            before = after = 0.0
            # The script prints a line when it starts, and at the end a line with the figures.
            for line in process.stdout:
                last_line = line
                before, after = after, sum(processor_time(pid) for pid in pids)
        assert process.returncode == 0, Path(log.name).read_text()[-2000:]
        figures: dict[str, float] = json.loads(last_line)
        return figures | {"cpu_ms": 1000 * (after - before) / figures["units"]}


ServerContext = Callable[[Path], AbstractContextManager[Contender]]
SERVERS: dict[str, ServerContext] = {
    "ours": local,
    "ours-uvicorn": partial(local, server="uvicorn"),
    "ours-cluster": cluster,
    "nat": nat,
}
ONE_NODE = ("--one-node",)
IN_PROCESS = {
    "langgraph-sqlite": InProcess("langgraph_prompts.py"),
    "langgraph-postgresql": InProcess("langgraph_prompts.py", postgresql=True),
    "langgraph-sqlite-one": InProcess("langgraph_prompts.py", ONE_NODE),
    "langgraph-postgresql-one": InProcess("langgraph_prompts.py", ONE_NODE, postgresql=True),
    # DBOS on SQLite waits two seconds for each answer, on any machine.
    "dbos-sqlite": InProcess("dbos_prompts.py", people=(16,)),
    "dbos-postgresql": InProcess("dbos_prompts.py", postgresql=True),
}
