"""Answers of a provider that would fill the memory."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from chat_app.oauth import ProviderUnavailable
from chat_app.oauth.providers import open_client
from tests.support.gzip_bomb import bomb, little_memory
from tests.support.hitl import set_hitl

BOMB = bomb(300)


class Handler(BaseHTTPRequestHandler):
    """The answers of the provider: those that it has not are bombs."""

    documents: dict[str, Any]

    def do_GET(self) -> None:
        document = self.documents.get(self.path)
        body = BOMB if document is None else json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if document is None:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def documents(settings: Settings) -> Iterator[dict[str, Any]]:
    """Serve a provider, and return its documents by path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        Handler.documents = {
            "/metadata": {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
            }
        }
        one = {"title": "Bombs", "client_id": "hitl", "metadata_url": f"{url}/metadata"}
        set_hitl(settings, PUBLIC_URL="http://localhost", OAUTH_PROVIDERS={"bombs": one})
        yield Handler.documents
        server.shutdown()


async def test_document_of_a_provider_that_is_too_long_is_not_read(
    documents: dict[str, Any],
) -> None:
    documents.clear()
    with little_memory(16), pytest.raises(ProviderUnavailable):
        async with open_client("bombs"):
            pass


async def test_answer_with_tokens_that_is_too_long_is_not_read(documents: dict[str, Any]) -> None:
    with little_memory(16), pytest.raises(ProviderUnavailable):
        async with open_client("bombs") as client:
            await client.exchange("code", "verifier")


async def test_answer_with_tokens_of_usual_length_is_read(documents: dict[str, Any]) -> None:
    documents["/token"] = {"access_token": "a" * 10_000, "token_type": "Bearer"}
    async with open_client("bombs") as client:
        tokens = await client.exchange("code", "verifier")
    assert tokens.access == "a" * 10_000
