"""`make cluster`: it serves, it starts again what dies, and it leaves nothing running."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from natproject.cluster.processes import WEB, WORKERS, alone
from tests.support.database.server_store import SqliteStore
from tests.support.polling import PATIENCE, until
from tests.support.processes.command import is_running, run
from tests.support.processes.environment import HOST, ROOT, environment
from tests.support.server import Server
from tests.support.sign_in_link import browse, press
from tests.support.websocket import WsClient

# It brings its own PostgreSQL and Redis.
pytestmark = [pytest.mark.slow, pytest.mark.formless, pytest.mark.timeout(240)]
RESTARTS = pytest.mark.beyond("a developer's cluster starts its processes again")
CRASHES = pytest.mark.beyond("a developer's cluster that is killed leaves nothing running")
REFUSALS = pytest.mark.beyond("a developer's cluster refuses the data of another one")


def three_free_ports() -> int:
    """Return the first of three ports that nothing uses, and that no client is given by chance."""
    for first in range(20_000 + os.getpid() * 3 % 10_000, 32_000, 3):
        with suppress(OSError), ExitStack() as stack:
            for port in range(first, first + 3):
                stack.enter_context(socket.create_server((HOST, port)))
            return first
    pytest.fail("no ports")


class MadeCluster:
    """A cluster as a person sees it who has typed the command."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = three_free_ports()
        self._log = data_dir / "output"
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "cluster"],
                cwd=ROOT,
                env=environment(data_dir, PORT=str(self.port)),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # As in a terminal, also where the tests were started in the background.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def output(self) -> str:
        """Return all that it has printed."""
        return self._log.read_text()

    def says(self, pattern: str) -> str:
        """Wait until it has printed this; returns what the first group is."""

        def search() -> re.Match[str] | None:
            assert self.process.poll() is None, self.output
            return re.search(pattern, self.output)

        # The first start makes a database, which takes most of a minute on a busy machine.
        return until(search, 2 * PATIENCE, otherwise=lambda: f"no {pattern} in:\n{self.output}")[1]

    def pid(self, name: str) -> int:
        """Return the id that it printed at its start."""
        return int(self.says(rf"Pids: .*\b{name} (\d+)"))

    def signed_in(self, port: int) -> Server:
        """Return who the link signs in, at the process that has this port."""
        if not hasattr(self, "_cookie"):
            jar = CookieJar()
            press(browse(jar), self.says(r"Sign in: (\S+)"))
            self._cookie = next(c.value for c in jar if c.name == "sessionid") or ""
        store = SqliteStore(self.data_dir)
        return Server(self.data_dir, {"admin": self._cookie}, store, port=port)

    def family(self) -> list[psutil.Process]:
        """Return the process and all below it."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one directory for all tests: the database is made once."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def cluster(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[MadeCluster]:
    """Yield a cluster that was just told to start. At the end it is stopped, and must stop well."""
    cluster = MadeCluster(data_dir)
    yield cluster
    if cluster.process.poll() is None:
        family = cluster.family()
        cluster.process.terminate()
        assert cluster.process.wait(PATIENCE) == 0
        wait_gone(family)
    logs = sorted((data_dir / "cluster").glob("*.log"))
    for path in [data_dir / "output", *logs]:
        request.node.add_report_section("teardown", path.name, path.read_text()[-2000:])


def wait_gone(processes: list[psutil.Process]) -> None:
    """Wait until none of them runs."""
    until(lambda: not any(map(is_running, processes)))


async def ask(cluster: MadeCluster, name: str, first: int, second: int) -> None:
    """Be asked at one web process, answer at another, and see the end at both."""
    async with WsClient(cluster.signed_in(first), name, user="admin", workflow="probe") as one:
        await one.message("ask()")
        await one.until("system_interaction_message", PATIENCE)
        async with WsClient(
            cluster.signed_in(second), name, user="admin", workflow="probe"
        ) as other:
            prompt = await other.until("system_interaction_message")
            await other.answer(f"from {second}", prompt)
            for client in (one, other):
                await client.until_ended("completed")
                assert client.text() == f"from {second}"


@RESTARTS
async def test_any_process_may_die(cluster: MadeCluster) -> None:
    first, second = cluster.port + 1, cluster.port + 2
    await asyncio.to_thread(cluster.says, "(Stop: )")
    await ask(cluster, "before", first, second)
    for name in (f"web-{first}", "worker-1", "redis"):
        await asyncio.to_thread(kill, cluster, name)
    await asyncio.to_thread(until_served, cluster.signed_in(first))
    await ask(cluster, "after", first, second)
    await asyncio.to_thread(kill, cluster, "postgresql")
    await until_recovered(cluster)


async def until_recovered(cluster: MadeCluster) -> None:
    """Wait until people can work again; before, sockets are refused, or closed with *try again*."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(AssertionError, ConnectionClosed, InvalidHandshake, TimeoutError):
            await ask(cluster, f"at {time.monotonic()}", cluster.port, cluster.port)
            return
        await asyncio.sleep(0.1)
    pytest.fail("it does not recover")


@RESTARTS
async def test_all_are_restarted_one_by_one_and_nothing_is_lost(cluster: MadeCluster) -> None:
    await asyncio.to_thread(cluster.says, "(Stop: )")
    name = f"at {time.monotonic()}"
    async with WsClient(
        cluster.signed_in(cluster.port), name, user="admin", workflow="probe"
    ) as client:
        await client.message("ask()")
        await client.until("system_interaction_message", PATIENCE)
    workers = processes_of(cluster, "worker")
    old = [*workers, *processes_of(cluster, "daphne")]
    assert len(old) == WEB + WORKERS
    cluster.process.send_signal(signal.SIGUSR1)
    await asyncio.to_thread(hold_up_first, cluster, workers)
    await asyncio.to_thread(
        always_reached, cluster, expected_output="All workers and web processes were"
    )
    wait_gone(old)
    last_worker, first_web = processes_of(cluster, "worker")[-1], processes_of(cluster, "daphne")[0]
    assert last_worker.create_time() < first_web.create_time()
    async with WsClient(cluster.signed_in(cluster.port), name, user="admin") as client:
        prompt = await client.until("system_interaction_message", PATIENCE)
        await client.answer("still here", prompt)
        await client.until_ended("completed", PATIENCE)


def hold_up_first(cluster: MadeCluster, workers: list[psutil.Process]) -> None:
    """Hold up the first new worker; check that the others stay while it is not ready."""

    def new_workers() -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):  # the one before it just goes
            return [each for each in processes_of(cluster, "worker") if each not in workers]
        return []

    [first] = until(new_workers)
    first.suspend()
    time.sleep(3)
    assert sum(map(is_running, workers)) == WORKERS - 1
    first.resume()


def processes_of(cluster: MadeCluster, command: str) -> list[psutil.Process]:
    """Processes of that kind, in the order in which they were started."""
    of_kind = [process for process in cluster.family() if command in process.cmdline()]
    return sorted(of_kind, key=psutil.Process.create_time)


def always_reached(cluster: MadeCluster, expected_output: str) -> None:
    """Check all the time, until the output is printed, that a web process listens."""
    first, second = cluster.port + 1, cluster.port + 2
    deadline = time.monotonic() + 2 * PATIENCE
    while expected_output not in cluster.output:
        assert time.monotonic() < deadline, cluster.output
        # The first once more: it may have come back before the second went.
        assert any(map(listens, (first, second, first))), cluster.output
        time.sleep(0.005)


def listens(port: int) -> bool:
    """Return whether a connection is taken there."""
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def kill(cluster: MadeCluster, name: str) -> None:
    """Kill a process, and wait until it is told that another has its place."""
    psutil.Process(cluster.pid(name)).kill()
    cluster.says(rf"({name}) ended, and was started again as \d+")


def until_served(server: Server) -> None:
    """Wait until the process that has this port is well."""

    def is_well() -> bool:
        try:
            return server.get("/health").status == 200
        except OSError:
            return False

    until(is_well)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=CRASHES)])
def test_nothing_is_left_running(cluster: MadeCluster, number: signal.Signals) -> None:
    cluster.says("(Stop: )")
    family = cluster.family()
    assert len(family) > 8
    cluster.process.send_signal(number)
    cluster.process.wait(PATIENCE)
    wait_gone(family)
    assert cluster.process.returncode == (-9 if number == signal.SIGKILL else 0), cluster.output


@CRASHES
def test_nothing_is_left_without_the_process_manager(cluster: MadeCluster) -> None:
    cluster.says("(Stop: )")
    family = cluster.family()
    next(process for process in family if "supervisor.supervisord" in process.cmdline()).kill()
    assert cluster.process.wait(PATIENCE) == 1
    wait_gone(family)
    assert "was killed" in cluster.output


@REFUSALS
def test_one_directory_has_one_cluster(tmp_path: Path) -> None:
    with alone(tmp_path / "cluster"):
        assert "A cluster runs in" in refusal_of_start(tmp_path)


@REFUSALS
def test_urls_of_another_cluster_are_refused(tmp_path: Path) -> None:
    urls = {"DATABASE_URL": f"postgresql://{HOST}/chat", "REDIS_URL": f"redis://{HOST}"}
    assert "leave both out" in refusal_of_start(tmp_path, **urls)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    port = three_free_ports()
    with socket.create_server((HOST, port + 1)):
        error_text = refusal_of_start(tmp_path, PORT=str(port))
    # Another test may have come to use the one before.
    assert any(
        f"Port {used_port} of {HOST} cannot be used" in error_text for used_port in (port, port + 1)
    )


def refusal_of_start(data_dir: Path, **env: str) -> str:
    """Start a cluster that does not start; returns why."""
    variables = environment(data_dir, PORT=str(three_free_ports())) | env
    process = run("manage.py", "cluster", env=variables)
    assert process.returncode == 1, process.stdout
    return process.stderr
