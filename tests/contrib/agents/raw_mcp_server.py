"""An MCP server over HTTP that sends just what a test says, also what no library would send."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from sessions_app.json_types import JsonObject

COMPLETE = {"resultType": "complete"}
LISTING = {**COMPLETE, "ttlMs": 0, "cacheScope": "public"}
TEXT = {**COMPLETE, "content": [{"type": "text", "text": "Done."}]}


def listed(name: str, schema: JsonObject | None = None, **more: Any) -> JsonObject:
    """Return a tool as a server lists it."""
    return {"name": name, "inputSchema": {"type": "object", **(schema or {})}, **more}


def asking(**questions: JsonObject) -> JsonObject:
    """Return the result of a call by which a server asks."""
    requests = {
        key: {"method": "elicitation/create", "params": params} for key, params in questions.items()
    }
    return {"resultType": "input_required", "inputRequests": requests, "requestState": "s"}


@dataclass
class RawServer:
    """A server of one or more tools, and the calls of them that it has had."""

    url: str
    tools: list[JsonObject] = field(default_factory=lambda: [listed("go")])
    # The result of a listing or a call by its parameters; bytes are a body as it is, in gzip.
    list_tools: Callable[[JsonObject], JsonObject | bytes] | None = None
    call: Callable[[JsonObject], JsonObject | bytes] = lambda _params: TEXT
    calls: list[JsonObject] = field(default_factory=list)

    def answer(self, method: str, params: JsonObject) -> JsonObject | bytes:
        """Return the result of a request."""
        if method == "tools/list":
            return self.list_tools(params) if self.list_tools else {**LISTING, "tools": self.tools}
        self.calls.append(params)
        return self.call(params)


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Serve in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = server.answer(request["method"], request.get("params", {}))
            body = result
            if not isinstance(body, bytes):
                error = body.get("error")
                answer = {"error": error} if error else {"result": body}
                reply = {"jsonrpc": "2.0", "id": request["id"], **answer}
                body = gzip.compress(json.dumps(reply).encode(), 1)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = RawServer(f"http://127.0.0.1:{http.server_port}/mcp")
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield server
        http.shutdown()
        thread.join()
