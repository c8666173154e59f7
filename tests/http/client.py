"""A client of the HTTP interface, for tests."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.support.server import HOST, Response, Server

Json = dict[str, Any]
CSRF = "c" * 32
BOUNDARY = "8f3a"


@dataclass
class Event:
    """A server-sent event. `lines` has the lines of other names than those of the standard; under
    "" an object alone on its line.
    """

    id: int | None = None
    name: str = "message"
    data: str = ""
    lines: dict[str, Any] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.data)


class Stream:
    """An open stream: `next()` is its next event, None at the end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer

    def next(self) -> Event | None:
        """Return the next event; comments are passed over."""
        event = Event()
        while line := self._answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n":
                return event
            if line.startswith("{"):
                event.lines[""] = json.loads(line)
                continue
            match name:
                case "id":
                    event.id = int(value)
                case "event":
                    event.name = value
                case "data":
                    event.data = value
                case _ if not line.startswith(":"):
                    event.lines[name] = json.loads(value)
        return None

    def lines(self) -> Iterator[str]:
        for line in self._answer:
            yield line.decode().removesuffix("\n")

    def rest(self) -> list[Event]:
        return list(iter(self.next, None))


class Http:
    """Requests of a user to a server: signed in by the session, unless `user` is None.

    `headers` and `query` go with each of them.
    """

    def __init__(
        self,
        server: Server,
        user: str | None = "ann",
        *,
        workflow: str | None = "probe",
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> None:
        self.server = server
        self._query = urlencode(query | ({"workflow": workflow} if workflow else {}))
        self._headers = {"content-type": "application/json"}
        if user is not None:
            cookie = f"sessionid={server.cookies[user]}; csrftoken={CSRF}"
            self._headers |= {"cookie": cookie, "x-csrftoken": CSRF}
        self._headers |= headers or {}

    def post(self, path: str, body: Any, **headers: str | None) -> Response:
        """POST a body as JSON, or a text as it is. Headers: `user_message_id="m1"`."""
        return self.send("POST", path, body, **headers)

    def form(self, path: str, fields: Mapping[str, str]) -> Response:
        return self.post(path, urlencode(fields), content_type="application/x-www-form-urlencoded")

    def multipart(self, path: str, fields: Mapping[str, Sequence[str]]) -> Response:
        """POST a form with files: those are names and contents."""
        body = ""
        for name, part in fields.items():
            file, content = ("", part) if isinstance(part, str) else part
            of = f'; filename="{file}"' if file else ""
            head = f'Content-Disposition: form-data; name="{name}"{of}'
            body += f"--{BOUNDARY}\r\n{head}\r\n\r\n{content}\r\n"
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.post(path, f"{body}--{BOUNDARY}--\r\n", content_type=kind)

    def get(self, path: str, **headers: str | None) -> Response:
        return self.send("GET", path, **headers)

    def delete(self, path: str, **headers: str | None) -> Response:
        return self.send("DELETE", path, **headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str | None) -> Response:
        with self._open(method, path, body, headers) as answer:
            return Response(answer.status, answer.headers, answer.read().decode())

    @contextmanager
    def stream(self, path: str, body: Any, **headers: str | None) -> Iterator[Stream]:
        """POST a body and read what comes as it comes; closed at the end of the block."""
        with self._open("POST", path, body, headers) as answer:
            yield Stream(answer)

    def generate(self, text: str, **headers: str | None) -> Response:
        return self.post("/generate", {"input_message": text}, **headers)

    def answer(self, stop: Json, response: Json, **headers: str | None) -> Response:
        return self.post(stop["response_url"], {"response": response}, **headers)

    @contextmanager
    def _open(
        self, method: str, path: str, body: Any, headers: dict[str, str | None]
    ) -> Iterator[http.client.HTTPResponse]:
        given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        sent_headers = {
            name: value
            for name, value in (self._headers | given_headers).items()
            if value is not None
        }
        if self._query and "?" not in path:
            path = f"{path}?{self._query}"
        data = body if isinstance(body, str | None) else json.dumps(body)
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=20)
        try:
            connection.request(method, path, data and data.encode(), sent_headers)
            with connection.getresponse() as answer:  # which has the socket for itself
                yield answer
        finally:
            connection.close()


def chat(text: str, **fields: Any) -> Json:
    return {"messages": [{"role": "user", "content": text}], **fields}


def chunk_text(events: list[Event]) -> str:
    chunks = [event.json() for event in events if event.data.startswith("{")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if "choices" in chunk]
    return "".join(delta.get("content", "") for delta in deltas)
