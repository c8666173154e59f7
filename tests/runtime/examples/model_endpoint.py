"""An HTTP server with OpenAI's chat completions, which streams the answers that a test prepares."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# The part of an answer that one chunk adds.
Delta = dict[str, Any]
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def text(*pieces: str) -> list[Delta]:
    """Return the deltas of an answer in so many pieces."""
    return [{"content": piece} for piece in pieces]


def thought(piece: str) -> Delta:
    """Return a delta of reasoning, as servers of open models send it."""
    return {"reasoning_content": piece}


def call(number: int, name: str, arguments: str, index: int | None = None) -> list[Delta]:
    """Return the deltas of a tool call: first its name, then its arguments in two parts.

    `index` is the number of the call; some servers use the same index for all calls.
    """
    half = len(arguments) // 2
    head: dict[str, Any] = {"id": f"call_{number}", "type": "function", "function": {"name": name}}
    parts = [{"function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
    place = {"index": number if index is None else index}
    return [{"tool_calls": [{**place, **part}]} for part in (head, *parts)]


class ModelEndpoint:
    """A server that answers each request with the next of `answers`, and stores the request.

    An answer is a list of deltas, or bytes that are sent unchanged with the `headers`.
    """

    def __init__(self) -> None:
        self.answers: list[list[Delta] | bytes] = []
        self.headers: dict[str, str] = {}
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = ""

    def chunks(self) -> Iterator[bytes]:
        """Yield the chunks of the answer to the last request."""
        answer = self.answers[len(self.requests) - 1]
        if isinstance(answer, bytes):
            yield answer
            return
        for delta in answer:
            yield _event([{"index": 0, "delta": delta, "finish_reason": None}])
        yield _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        yield _event([], usage=USAGE)
        yield b"data: [DONE]\n\n"


def events(*chunks: dict[str, Any] | bytes, done: bool = True) -> bytes:
    """Return a response's body: chunks as events, bytes unchanged, an end mark if `done`."""
    sent = [
        one if isinstance(one, bytes) else f"data: {json.dumps(one)}\n\n".encode() for one in chunks
    ]
    return b"".join(sent) + (b"data: [DONE]\n\n" if done else b"")


def choice(delta: object, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk with any delta, and the reason why the answer is finished."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n".encode()


@contextmanager
def serving() -> Iterator[ModelEndpoint]:
    """Yield a model endpoint on a free port."""
    endpoint = ModelEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            endpoint.requests.append(json.loads(body))
            endpoint.keys.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            for name, value in endpoint.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # the client may close the connection early
                for chunk in endpoint.chunks():
                    self.wfile.write(chunk)
                    self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
