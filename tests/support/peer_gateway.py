"""The gateway of NAT's web UI, and the page's view of the responses (docs/protocol.md).

Requests of the browser reach the backend through the gateway, with another `Host`, and with the
browser's `Origin` and cookies.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.http.client import Http, Json, Stream
from tests.support.server import Response, Server

# Paths of the four modes that the web UI offers in its settings.
MODES = ("/chat/stream", "/chat", "/generate/stream", "/generate")
CHAT_STREAM, CHAT, GENERATE_STREAM, GENERATE = MODES
COOKIE = "nemo-agent-toolkit-session"
WORKFLOW_ERROR = ("code", "message", "details")


@dataclass
class Shown:
    """The page's view of one answer: its text, its steps, or a toast over the page."""

    text: str = ""
    steps: list[Json] = field(default_factory=list)
    trace: str = ""
    toast: str = ""


class PeerGateway:
    """A browser in HTTP mode, with one conversation open."""

    def __init__(self, server: Server, *, origin: str, session: str) -> None:
        self.conversation_id = str(uuid4())
        self.session = session
        headers = {"origin": origin, "cookie": f"{COOKIE}={session}", "sec-fetch-mode": "cors"}
        self._http = Http(server, None, workflow=None, headers=headers)

    def say(self, text: str, mode: str) -> Shown:
        """Send a typed message, and read the whole answer."""
        if mode.endswith("/stream"):
            with self.stream(text, mode) as (_, looks):
                return list(looks)[-1]
        answer = self._http.post(mode, _payload(text, mode), **self._ids())
        return _single(answer, mode) if answer.status in (200, 202) else _show_refusal(answer)

    @contextmanager
    def stream(self, text: str, mode: str) -> Iterator[tuple[str, Iterator[Shown]]]:
        """Send a message; yield the run's id, and the page's view after each line.

        Leaving the block is like pressing Stop.
        """
        with self._http.stream(mode, _payload(text, mode), **self._ids()) as stream:
            yield stream.headers["execution-id"], _stream(stream)

    def rate(self, trace: str, **feedback: str) -> Response:
        """Press a thumb below an answer."""
        return self._http.post("/feedback", {"observability_trace_id": trace, **feedback})

    def _ids(self) -> dict[str, str]:
        return {"conversation_id": self.conversation_id, "user_message_id": str(uuid4())}

    def tools(self) -> Any:
        """Return the page's MCP clients, which the UI's server requests without cookies."""
        return Http(self._http.server, None, workflow=None).get("/mcp/client/tool/list").json()


def _payload(text: str, mode: str) -> Json:
    if mode.startswith("/generate"):
        return {"input_message": text}
    message = {"role": "user", "content": text}
    how = {"model": "nvidia/nemotron", "stream": False, "temperature": 0.7}
    return {"messages": [message], **how}


def _show_refusal(answer: Response) -> Shown:
    """Return the page's view of a refusal: an answer for a 422 in NAT's format, else a toast."""
    if answer.status == 422 and (text := _workflow_error(answer.text)):
        return Shown(text)
    return Shown(toast=f"{answer.status}")


def _single(answer: Response, mode: str) -> Shown:
    trace = answer.headers.get("observability-trace-id", "")
    if mode == GENERATE:
        return Shown(answer.text, trace=trace)
    body = answer.json()
    choices = body.get("choices") or [{"message": {}}]
    content = choices[0]["message"].get("content") or body.get("message")
    content = content or body.get("answer") or body.get("value")
    return Shown(content or "", trace=trace)


def _stream(stream: Stream) -> Iterator[Shown]:
    """Yield the page's view after each line of the stream."""
    if stream.status != 200:
        yield _show_refusal(Response(stream.status, stream.headers, "\n".join(stream.lines())))
        return
    answer_view = Shown()
    for line in stream.lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            if data == "[DONE]":
                break
            answer_view.text += _piece(json.loads(data))
        elif line.startswith("intermediate_data: "):
            answer_view.steps.append(json.loads(line.removeprefix("intermediate_data: ")))
        elif line.startswith("observability_trace: "):
            trace = json.loads(line.removeprefix("observability_trace: "))
            answer_view.trace = trace["observability_trace_id"]
        elif line.strip().startswith("{"):
            answer_view.text += _workflow_error(line) or line
        yield answer_view


def _piece(data: Json) -> str:
    if isinstance(data.get("value"), str):
        return str(data["value"])
    delta = (data.get("choices") or [{}])[0].get("delta", {})
    return str(delta.get("content") or "")


def _workflow_error(text: str) -> str:
    """Return the page's words for an error in NAT's format; an empty text for any other."""
    error = json.loads(text)
    if not all(isinstance(error.get(name), str) for name in WORKFLOW_ERROR):
        return ""
    return f"\n\n**Error ({error['code']}):** {error['message']} — {error['details']}"
