"""nginx in front of a server, with the configuration in docs/deployment.md."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import FLAGS, chromium
from tests.support.polling import PATIENCE, until
from tests.support.processes.environment import HOST, ROOT
from tests.support.server import free_port

PAGE = ROOT / "docs" / "deployment.md"
NAME = "chat.example.org"
URL = f"https://{NAME}"
# Environment of a server behind this nginx.
SETTINGS = {"HTTPS": "true", "ALLOWED_HOSTS": f"{NAME},{HOST}", "CSRF_TRUSTED_ORIGINS": URL}
# The nginx.conf of a Linux distribution, with all files in the directory of the test.
FRAME = """
daemon off;
{user}
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  include {directory}/chat.conf;
}}
"""


# The part of the documented configuration that other parts replace.
LOCATION = "    location / { proxy_pass http://chat; }\n"


def documented(part: str = "") -> str:
    """Return the documented configuration; with `part`, the alternative location with it."""
    text = PAGE.read_text(encoding="utf-8")
    whole, *parts = re.findall(r"^```nginx\n(.*?)^```$", text, re.M | re.S)
    assert whole.count(LOCATION) == 1
    [location] = [LOCATION] if not part else [each for each in parts if part in each]
    configuration: str = whole.replace(LOCATION, location)
    return configuration


def program() -> str:
    named = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if named is None:
        pytest.fail("nginx is missing: apt-get install nginx, or NGINX=/path/to/nginx")
    return named


@dataclass
class Nginx:
    """A running nginx. Browsers and clients reach it as https://chat.example.org."""

    directory: Path
    ports: Mapping[str, int]
    plain_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def write(self, configuration: str) -> None:
        """Write the configuration with the ports of this test."""
        for documented_port, port in self.ports.items():
            assert f"127.0.0.1:{documented_port}" in configuration
            configuration = configuration.replace(f":{documented_port}", f":{port}")
        configuration = configuration.replace("/etc/ssl/chat", str(self.directory))
        configuration = configuration.replace("listen 80;", f"listen {HOST}:{self.plain_port};")
        configuration = configuration.replace("listen 443 ", f"listen {HOST}:{self.port} ")
        (self.directory / "chat.conf").write_text(configuration)
        # Stay root: else nginx's workers become a user that may not write to the directory.
        user = "user root;" if os.geteuid() == 0 else ""
        frame = FRAME.format(directory=self.directory, user=user)
        (self.directory / "nginx.conf").write_text(frame)

    def start(self) -> None:
        """Start nginx, and wait until it listens."""
        self.process = subprocess.Popen([program(), *self._arguments], stderr=subprocess.DEVNULL)
        until(self._listens, otherwise=lambda: self.log)

    def reload(self) -> None:
        """Let new processes serve new connections; the old ones end with their sockets."""
        assert self.process is not None
        before = self._workers()
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self._workers() - before, otherwise=lambda: self.log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    @property
    def log(self) -> str:
        return (self.directory / "error.log").read_text(errors="replace")

    def connect(self, *, address: str = HOST, timeout: float = PATIENCE) -> HTTPConnection:
        """Return a connection over TLS, from an address of the loopback network."""
        context = ssl.create_default_context(cafile=str(self.directory / "fullchain.pem"))
        plain = socket.create_connection((HOST, self.port), timeout, (address, 0))
        connection = HTTPConnection(NAME, timeout=timeout)
        connection.sock = context.wrap_socket(plain, server_hostname=NAME)
        return connection

    @contextmanager
    def browse(self, browser: Browser) -> Iterator[Browser]:
        """Start a browser that resolves the site's name to this nginx."""
        hosts = f"MAP {NAME}:443 {HOST}:{self.port}, MAP {NAME}:80 {HOST}:{self.plain_port}"
        flags = [*FLAGS, f"--host-resolver-rules={hosts}", "--ignore-certificate-errors"]
        own = browser.browser_type.launch(executable_path=chromium(), args=flags)
        yield own
        own.close()

    @property
    def _arguments(self) -> list[str]:
        return ["-c", f"{self.directory}/nginx.conf", "-e", f"{self.directory}/error.log"]

    def _listens(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True

    def _workers(self) -> set[str]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return set(children.read_text().split())


@contextmanager
def nginx(directory: Path, ports: Mapping[str, int], configuration: str) -> Iterator[Nginx]:
    """Run nginx with a configuration, and replace its ports by the named ports of the test."""
    directory.mkdir()
    _make_certificate(directory)
    proxy = Nginx(directory, ports)
    proxy.write(configuration)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()


def _make_certificate(directory: Path) -> None:
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    files = ["-keyout", f"{directory}/key.pem", "-out", f"{directory}/fullchain.pem"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run(["openssl", *options.split(), *names, *files], check=True, capture_output=True)
