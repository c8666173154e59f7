"""A process that imports the libraries and forks server processes, to make their start fast.

A second one also imports the application, for servers with the usual settings. Run as a program, it
reads requests, each a line with a number and a JSON object, and answers each with its number: to
start a program, or to tell whether one has ended. When its input ends, it kills all started
programs, so that nothing outlives the tests. All forked processes have the same seed for the hashes
of strings.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.processes import application
from tests.support.processes.environment import ROOT, is_usual

# Slow imports of the application that read no settings.
LIBRARIES = """
    twisted.internet.asyncioreactor twisted.internet.endpoints twisted.web.http
    autobahn.twisted.websocket django.db.models django.http django.core.handlers.asgi django.forms
    django.contrib.admin django.contrib.auth django.contrib.staticfiles django.template
    pydantic pydantic_settings psycopg psycopg_pool structlog jwt cryptography.x509 redis.asyncio
    channels_redis.pubsub procrastinate markdown_it nh3 uvicorn websockets.server
    yaml servestatic msgspec tenacity csp.middleware filelock channels.routing daphne
    multiprocessing unittest.mock xml.sax wsgiref.simple_server sqlparse jinja2
    latex2mathml.converter
"""
# Slow imports of the servers in tests/nat, if the toolkit is installed.
if find_spec("nat"):
    LIBRARIES += "nat.runtime.loader langchain_core.language_models nat.plugins.langchain.register"


class Forked:
    """A process started by the fork server, with the interface of a `subprocess` process."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        request = {"start": arguments, "env": dict(env), "log": str(log)}
        self._server = _server_for(env)
        self.pid: int = self._server.ask(request)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status (negative: a signal) if the process has ended, else None."""
        if self.returncode is None:
            self.returncode = self._server.ask({"status": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end of the process; return the status.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class _ForkServer:
    """The fork server, as seen by the process that lets it start others."""

    def __init__(self, env: Mapping[str, str] | None) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", __name__, *(["application"] if env else [])],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, Any]) -> Any:
        """Return the answer to a request; skip answers that an interrupted test has not read."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        with self._lock:
            self._asked += 1
            requests.write(json.dumps([self._asked, request]) + "\n")
            requests.flush()
            while True:
                number, answer = json.loads(answers.readline())
                if number == self._asked:
                    return answer

    def close(self) -> None:
        """End the fork server, and all processes that it has started."""
        self._process.communicate()


# Fork servers: without the application, and with it, loaded by the settings of the first request.
_servers: dict[bool, _ForkServer] = {}


def _server_for(env: Mapping[str, str]) -> _ForkServer:
    usual = is_usual(env)
    if usual not in _servers:
        _servers[usual] = _ForkServer(env if usual else None)
    return _servers[usual]


def close() -> None:
    """End the fork servers of this process."""
    for server in _servers.values():
        server.close()
    _servers.clear()


def serve() -> list[str] | None:
    """Answer requests; in a forked child, return the program to run."""
    started: set[int] = set()
    for line in sys.stdin:
        number, request = json.loads(line)
        if "status" in request:
            pid, status = os.waitpid(request["status"], os.WNOHANG)
            started.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
                arguments: list[str] = request["start"]
                return arguments
            started.add(answer)
        sys.stdout.write(json.dumps([number, answer]) + "\n")
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return None


def _become(request: dict[str, Any]) -> None:
    """Take over the environment, input and output of the new process. OUTPUT names a file for
    stdout.
    """
    os.environ.clear()
    os.environ.update(request["env"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.environ.get("OUTPUT", request["log"])
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for there, here in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(there, here)
    os.close(nothing)
    os.close(log)
    if encoding := os.environ.get("PYTHONIOENCODING"):
        sys.stdout.reconfigure(encoding=encoding)  # type: ignore[union-attr] # a text file
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives


def run(arguments: list[str]) -> None:
    """Run a program as `python` does: a file, or a module after `-m`."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    # Ctrl-C is for the tests, which then end this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in LIBRARIES.split():
        importlib.import_module(library)
    loaded = bool(sys.argv[1:])
    if loaded:
        application.load()
    gc.collect()
    gc.freeze()  # exempt all imported objects from garbage collection in the forked processes
    program = serve()
    if program is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if loaded:
            application.renew()
        run(program)
