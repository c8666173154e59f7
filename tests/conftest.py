"""Fixtures of all tests: servers in child processes, and a browser (see `support/`)."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from hypothesis import HealthCheck, settings

from sessions_app.signals import SIGNALS
from sessions_app.storage import caller_thread
from tests.support import running_form, versions_in_use
from tests.support.processes import fork_server
from tests.support.server import USERS, Server, Template

pytest_plugins = [
    "sessions_app.contrib.testing.plugin",
    "tests.support.browser",
    "tests.support.database.cleanup",
]

# How long an example takes says how busy the machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

in_one_process = running_form.UVICORN and not running_form.CLUSTER
collect_ignore = sorted(running_form.HOSTING) if in_one_process else []
# They need packages of an environment of their own, where `make test-nat` runs them.
if not find_spec("nat"):
    collect_ignore.append("nat")

NewServer = Callable[..., Server]
# The servers of a test: what they have stored is shown if it fails.
SERVERS = pytest.StashKey[list[Server]]()


def pytest_configure() -> None:
    """Use the runtime's threads in all tests, and name the database of a mutant's tests."""
    caller_thread.begin_runtime()
    # Several run at once, forked from a process that has the settings: `make mutants`.
    if mutant := os.environ.get("MUTANT_UNDER_TEST"):
        os.environ["TOX_PARALLEL_ENV"] = mutant  # names the database, as pytest-django reads it


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that have no test of a suite: to import them takes longer than to run it.

    A mark stands in the file of its tests.
    """
    suite: str = config.option.markexpr
    if not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text()
    other_form = "not other_form" in suite and not running_form.may_be_own(collection_path, text)
    return other_form or (suite.startswith("slow") and "mark.slow" not in text) or None


@pytest.hookimpl(tryfirst=True)  # before pytest looks at -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are not of this form: see the markers in pyproject.toml."""
    left_out = [item for item in items if not running_form.fits(item)]
    items[:] = [item for item in items if running_form.fits(item)]
    config.hook.pytest_deselected(items=left_out)
    for item in items:
        if not running_form.is_own(item):
            item.add_marker("other_form")


def pytest_collection_finish() -> None:
    """Have no garbage collection look at all that was imported: it stays, and is most of what is
    there.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have the report of a test that failed say where the runs of its servers are."""
    report = yield
    if call.when == "call" and report.failed:
        for server in item.stash.get(SERVERS, []):
            report.sections.append(
                (f"runs, questions, leases, jobs of {server.url}", server.story())
            )
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """End what servers were forked from: after all fixtures, whatever their order."""
    fork_server.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after all that others print
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int
) -> Generator[None]:
    """Print the form and the versions: in front of the counts, if they come next."""
    yield
    counts_follow = exitstatus == pytest.ExitCode.OK and terminalreporter.verbosity == -1
    terminalreporter.write(versions_in_use.description() + (": " if counts_follow else "\n"))


@pytest.fixture(autouse=True)
def _disconnect_receivers() -> Iterator[None]:
    """Disconnect what a test has connected: with a receiver, all runs write what is to be sent."""
    connected = {signal: list(signal.receivers) for signal in SIGNALS.values()}
    yield
    for signal, receivers in connected.items():
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


@pytest.fixture(autouse=True)
def _forget_language() -> Iterator[None]:
    """Forget the language of a test's last request, which Django leaves active."""
    yield
    translation.deactivate()


@pytest.fixture
def _lost_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose what processes send a worker of its runs."""
    dispatcher = "sessions_app.hosting.dispatch.worker.WorkerDispatcher"
    monkeypatch.setattr(f"{dispatcher}._wake_host", lambda *_: None)


@pytest.fixture
def sent_to(host_workflow: Any) -> Any:
    """Return a function that hosts a workflow, and sends it a message; see its type, `SentTo`."""

    @asynccontextmanager
    async def sent_to(workflow: str, text: str, **config: Any) -> AsyncIterator[tuple[Any, Any]]:
        async with host_workflow(workflow, **config) as hosting:
            yield hosting, await hosting.send(text)

    return sent_to


@pytest.fixture(scope="session")
def server_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """Yield a migrated store with users and their sessions, to be copied."""
    template = Template.make(tmp_path_factory.mktemp("template"), USERS)
    yield template
    template.store.drop()


@pytest.fixture
def new_server(
    server_template: Template, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[NewServer]:
    """Return a function that makes a server and starts it: `new_server(PARK_AFTER="0.1")`."""
    servers = request.node.stash.setdefault(SERVERS, [])

    def new_server(*, start: bool = True, **options: Any) -> Server:
        data_dir = tmp_path / f"server{len(servers)}"
        server = Server.from_template(server_template, data_dir, **options)
        servers.append(server)
        if start:
            server.start()
        return server

    yield new_server
    for server in servers:
        # Shown with the test if it fails.
        request.node.add_report_section("teardown", f"log of {server.url}", server.log_tail())
        server.drop()


@pytest.fixture
def server(new_server: NewServer) -> Server:
    """Return a running server. Users `admin`, `ann`, `ben`, `user0`…`user19` are signed in."""
    return new_server()


@pytest.fixture(scope="module")
def new_module_server(
    server_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewServer]:
    """Return a function that starts a server for the tests of a module, which leave it running."""
    servers: list[Server] = []

    def new_module_server(**options: Any) -> Server:
        data_dir = tmp_path_factory.mktemp("server") / "data"
        servers.append(Server.from_template(server_template, data_dir, **options))
        servers[-1].start()
        return servers[-1]

    yield new_module_server
    for server in servers:
        server.drop()


@pytest.fixture(scope="session")
def shared(server_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server for tests that leave it running.

    A start costs more than most tests; each test uses a conversation of its own.
    """
    server = Server.from_template(server_template, tmp_path_factory.mktemp("shared") / "data")
    server.start()
    yield server
    server.drop()
