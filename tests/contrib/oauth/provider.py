"""The OAuth server in a process of its own, and the browser of a person there."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from tests.page.plain_page import PlainPage
from tests.support.polling import until
from tests.support.processes.environment import COVERAGE, HOST, ROOT
from tests.support.server import free_port


@dataclass
class Provider:
    """The OAuth server. It keeps its data over `stop` and `start`."""

    directory: Path
    redirect_uris: list[str]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Return the origin, without a slash at its end: the issuer."""
        return f"http://{HOST}:{self.port}"

    @property
    def setting(self) -> dict[str, Any]:
        """Return its part of OAUTH_PROVIDERS."""
        return {
            "title": "Notes",
            "client_id": "hitl",
            "client_secret": "client-secret",
            "metadata_url": f"{self.url}/.well-known/oauth-authorization-server",
            "scopes": ["read"],
        }

    def start(self) -> None:
        """Start if it is stopped, and wait until it answers."""
        if self.process is not None:
            return
        arguments = [str(self.directory), str(self.port), " ".join(self.redirect_uris)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.contrib.oauth.server.serve", *arguments],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **COVERAGE},
                stderr=log,
            )
        until(self._answers, 100, otherwise=(self.directory / "log").read_text)

    def stop(self) -> None:
        """Kill it: nothing answers at its address any more."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it answer nobody meanwhile; who calls it waits."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def rows(self, statement: str, *parameters: object) -> list[Any]:
        """Execute a statement on its database, and return the rows."""
        connection = sqlite3.connect(self.directory / "db.sqlite3", timeout=20)
        with connection:
            rows = connection.execute(statement, parameters).fetchall()
        connection.close()
        return rows

    def forget_all(self) -> None:
        """Take all tokens and codes back."""
        for statement in (
            "DELETE FROM oauth2_provider_accesstoken",
            "DELETE FROM oauth2_provider_refreshtoken",
            "DELETE FROM oauth2_provider_grant",
        ):
            self.rows(statement)

    def take_back_to(self, address: str) -> None:
        """Register one more address to which it may send people back."""
        add = "UPDATE oauth2_provider_application SET redirect_uris = redirect_uris || ' ' || ?"
        self.rows(add, address)

    def valid_tokens(self) -> list[str]:
        """Return the access tokens that its API takes."""
        rows = self.rows("SELECT token FROM oauth2_provider_accesstoken")
        return [row[0] for row in rows if self.call_api(row[0]).status_code == 200]

    def secrets(self) -> list[str]:
        """Return all that it has given out: tokens of both kinds, used or not."""
        union = (
            "SELECT token FROM oauth2_provider_accesstoken"
            " UNION SELECT token FROM oauth2_provider_refreshtoken"
        )
        return [row[0] for row in self.rows(union)]

    def call_api(self, token: str) -> httpx2.Response:
        """Call its API with a token."""
        return httpx2.get(
            f"{self.url}/api/notes/", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )

    def _answers(self) -> bool:
        try:
            return bool(httpx2.get(f"{self.url}/api/notes/", trust_env=False).status_code)
        except httpx2.HTTPError:
            return False


def visit(url: str, *, agree: bool = True, **changed: str) -> str:
    """Go where the link leads, sign in there, and agree or not; return the address to which the
    provider sends the person back. `changed` are fields of its form that are sent otherwise.
    """
    with httpx2.Client(follow_redirects=True, trust_env=False) as browser:
        page = browser.get(url)
        assert page.status_code == 200, page.text
        controls = PlainPage(page.text).controls
        named = [one.attributes for one in controls if "name" in one.attributes]
        fields = {attributes["name"]: attributes.get("value", "") for attributes in named}
        if not agree:
            del fields["allow"]
        action = urljoin(str(page.url), urlsplit(str(page.url)).path)
        answer = browser.post(action, data=fields | changed, follow_redirects=False)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])
