"""The corpus at every URL: paths, queries, forms, bodies and headers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.test import RequestFactory

from tests.hostile.attack.doors import Page, list_parameters, looked_up, model_pages, pages
from tests.hostile.attack.entries import entries, hostile_json, texts
from tests.hostile.attack.examples import MARK, examples, places, replaced
from tests.hostile.attack.raw_http import FORM, Request, escape, form, send
from tests.hostile.attack.throwing import spread, throw
from tests.http.client import Http
from tests.support.server import Server

# Thousands of requests, in a run of all tests beside others.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

JSON = "application/json"
# Fields of the interface with values that it takes.
GOOD = {
    "input_message": 'echo("x")',
    "content": 'echo("x")',
    "text": "none of these",
    "role": "user",
}
# What `request.GET` is asked for outside of the project's own code.
ELSEWHERE = {REDIRECT_FIELD_NAME, "sesame", "session", "term", "app_label", "model_name"}
HEADERS = (
    *("Host", "Cookie", "Origin", "Referer", "Content-Type", "Content-Length", "Transfer-Encoding"),
    *("Accept", "Accept-Language", "Accept-Encoding", "User-Agent", "Authorization", "X-API-Key"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Daphne-Root-Path"),
    *("X-CSRFToken", "X-Requested-With", "X-HTTP-Method-Override", "Expect", "Connection"),
    *("Upgrade", "If-Modified-Since", "If-None-Match", "Range"),
)


@pytest.fixture(scope="module")
def known_ids(attacked: Server) -> dict[str, str]:
    """Good values of what URLs name, in a conversation with a run that waits."""
    body = {"input_message": 'prompt(kind="radio")'}
    prompt = Http(attacked).post("/generate", body, conversation_id="kept").json()
    return {
        "conversation_id": "kept",
        "execution_id": prompt["execution_id"],
        "interaction_id": prompt["interaction_id"],
        "interaction": prompt["interaction_id"],
        "run": prompt["execution_id"],
        "file": _upload(attacked),
        "pk": prompt["interaction_id"],
        "app_label": "sessions_app",
        "token": _callback(attacked),
        "form": "md",
        "first": "1",
        "url": "nowhere",
        "path": "v1/nowhere",
        "model": "probe",
        "job_id": attacked.rows("SELECT message_id FROM sessions_app_run")[0]["message_id"],
        "id": "1",
        "content_type_id": "1",
        "provider": "notes",
        "nonce": "none",
    }


def _upload(server: Server) -> str:
    """Return a file of that conversation, which is sent with a message of its own."""
    ann, page = Http(server), "/c/kept"
    answer = ann.multipart(f"{page}/files/", {"file": ("a.txt", "hello")})
    id_ = str(answer.json()["id"])
    ann.form(f"{page}/messages/", {"text": 'echo("a file")', "file_ids": id_})
    return id_


def _callback(server: Server) -> str:
    """Return the last part of a URL of a run that waits for what is posted there."""
    with Http(server).stream(
        "/generate/stream", {"input_message": "wait_for_callbacks(count=1)"}
    ) as stream:
        event_data = next(
            event.data for event in iter(stream.next, None) if "callbacks" in event.data
        )
    return str(json.loads(event_data)["value"]).rpartition("/")[2]


@pytest.fixture(autouse=True)
def nothing_is_lost(attacked: Server, known_ids: dict[str, str]) -> Iterator[None]:
    """Yield what waited before still waits, and the server answers."""
    yield
    status_body = Http(attacked).get(f"/executions/{known_ids['execution_id']}").json()
    assert status_body["status"] == "interaction_required", status_body
    assert Http(attacked).generate('echo("well")').json() == {"value": "well"}


def path_of(server: Server, page: Page, known_ids: dict[str, str], **hostile: str) -> str:
    """Return a path to the page, with hostile values of some of its parameters."""
    good = dict(known_ids)
    if "object_id" in page.parameters:
        good["object_id"] = _row_of(server, page)
    missing = set(page.parameters) - set(good)
    assert not missing, f"No test has a good value of {missing} of {page.template}: add it."
    values = {name: hostile.get(name, good[name]) for name in page.parameters}
    return "/" + page.template % {name: escape(value) for name, value in values.items()}


def _row_of(server: Server, page: Page) -> str:
    try:
        model: Any = apps.get_model(".".join(page.template.split("/")[1:3]))
    except (LookupError, ValueError):
        return "1"
    column = model._meta.pk.column
    rows = server.rows(f"SELECT {column} AS pk FROM {model._meta.db_table} LIMIT 1")  # noqa: S608
    return str(rows[0]["pk"]) if rows else "1"


def user_of(page: Page) -> str:
    return "admin" if page.template.startswith(("admin", "monitor")) else "ann"


def test_a_path_may_hold_anything(attacked: Server, known_ids: dict[str, str]) -> None:
    doors = [(page, name) for page in sorted(pages(), key=str) for name in page.parameters]
    chat = [door for door in doors if not door[0].template.startswith("admin")]
    others = [door for door in doors if door not in chat]
    pairs = [*spread(chat, [*texts().items()], 4), *spread(others, [*texts().items()], 40)]
    throw(
        attacked,
        (
            Request(
                f"{name}: {entry}",
                path_of(attacked, page, known_ids, **{name: text}),
                user=user_of(page),
            )
            for (page, name), (entry, text) in pairs
        ),
    )


def test_a_query_may_hold_anything(attacked: Server, known_ids: dict[str, str]) -> None:
    doors = [page for page in sorted(pages(), key=str) if not page.template.startswith("sign-out")]
    names = looked_up("GET") | ELSEWHERE
    throw(
        attacked,
        (
            Request(
                entry,
                f"{path_of(attacked, page, known_ids)}?{form(dict.fromkeys(names, text)).decode()}",
                user=user_of(page),
            )
            for page, (entry, text) in spread(doors, [*texts().items()], 30)
        ),
    )


def test_a_list_of_the_admin_may_be_asked_for_anything(attacked: Server) -> None:
    doors = [
        (path, name)
        for path, model in model_pages().items()
        for name in sorted(list_parameters(admin.site._registry[model]))
    ]
    throw(
        attacked,
        (
            Request(f"{name}: {entry}", f"{path}?{name}={escape(text)}", user="admin")
            for (path, name), (entry, text) in spread(doors, [*texts().items()], 100)
        ),
    )


def test_a_form_of_the_chat_may_hold_anything(attacked: Server, known_ids: dict[str, str]) -> None:
    good = {"text": 'echo("x")', "workflow": "probe", "value": "none of these"}
    known_ids = known_ids | {"conversation_id": "forms"}
    paths = [path_of(attacked, page, known_ids) for page in sorted(pages(), key=str)]
    chat = [path for path in paths if path.startswith(("/c/", "/conversations"))]
    takes = [path for path in chat if send(attacked, form_request("", path, {})).status != 405]
    assert len(takes) >= 3
    doors = [(path, name) for path in takes for name in sorted(looked_up("POST"))]
    throw(
        attacked,
        (
            form_request(f"{name}: {entry}", path, good | {name: text})
            for (path, name), (entry, text) in spread(doors, [*texts().items()], 24)
        ),
    )


def test_a_form_of_django_may_hold_anything(attacked: Server) -> None:
    doors = [*forms()]
    assert {"/sign-in/", "/admin/login/"} < {path for path, *_ in doors}
    requests = []
    for (path, fields, name), (entry, text) in spread(doors, [*texts().items()], 40):
        good = dict.fromkeys(fields, "x") | {"user": "1"}
        user = None if "in/" in path else "admin"
        requests.append(form_request(f"{name}: {entry}", path, good | {name: text}, user))
    throw(attacked, requests)


def forms() -> Iterator[tuple[str, list[str], str]]:
    """Path, fields and one of these, of each form of the admin and of the sign-in pages."""
    request = RequestFactory().get("/")
    request.user = _Anybody()  # type: ignore[assignment] # of whom only the rights are asked
    actions = ["action", "_selected_action", "index", "select_across", "post"]
    for path, model in model_pages().items():
        model_admin = admin.site._registry[model]
        if model_admin.has_add_permission(request):
            fields = [*model_admin.get_form(request).base_fields, "_save", "_popup", "_to_field"]
            yield from ((f"{path}add/", fields, name) for name in fields)
        yield from ((path, actions, name) for name in actions)
    signing = ["username", "password", REDIRECT_FIELD_NAME, "csrfmiddlewaretoken"]
    for path in ("/sign-in/", "/admin/login/"):
        yield from ((path, signing, name) for name in signing)


class _Anybody:
    def has_perm(self, *_: Any) -> bool:
        return True


def form_request(door: str, path: str, fields: dict[str, Any], user: str | None = "ann") -> Request:
    return Request(door, path, "POST", {"Content-Type": FORM}, form(fields), user)


def test_the_interface_may_be_sent_anything(attacked: Server, known_ids: dict[str, str]) -> None:
    document = json.loads(send(attacked, Request("", "/openapi.json")).text)
    # A DELETE stops the run that it names, as it should; what waits is to go on waiting.
    ended_run = known_ids | {
        "execution_id": Http(attacked).generate('echo("1")').headers["execution-id"]
    }
    requests = [
        request
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for request in api_requests(
            document,
            path.format(**(ended_run if method == "delete" else known_ids)),
            method,
            operation,
        )
    ]
    throw(attacked, requests)


def api_requests(document: Any, path: str, method: str, operation: Any) -> Iterator[Request]:
    """Yield what is thrown at one operation: at each parameter, and at each place of its body."""
    schema = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    bodies = examples(schema, document, GOOD) if schema else []
    data = json.dumps(bodies[0]).encode() if bodies else b""
    content = {"Content-Type": JSON} if bodies else {}
    url = f"{path}?workflow=probe"
    parameters = [*operation.get("parameters", ()), {"in": "query", "name": "session"}]
    names = [each["name"] for each in parameters if each["in"] == "query"]
    for name, (entry, text) in spread(names, [*texts().items()], 24):
        query_url = f"{url}&{name}={escape(text)}"
        yield Request(f"{name}: {entry}", query_url, method.upper(), content, data)
    names = [each["name"] for each in parameters if each["in"] == "header"]
    for name, (entry, text) in spread(names, [*entries("headers").items()], 12):
        yield Request(f"{name}: {entry}", url, method.upper(), {**content, name: text}, data)
    for good in bodies:
        for place, (entry, text) in spread([*places(good)], hostile_json(), 40):
            body = json.dumps(replaced(good, place, MARK)).replace(json.dumps(MARK), text)
            yield Request(f"{place}: {entry}", url, "POST", content, body.encode())
        for _, (entry, text) in spread([path], [*entries("json", "bodies").items()], 3):
            yield Request(entry, url, "POST", content, text.encode("latin-1"))


def test_a_header_may_hold_anything(attacked: Server, known_ids: dict[str, str]) -> None:
    data = b'{"input_message": "echo(\'x\')"}'
    bases = [
        Request("page", "/c/kept/"),
        Request("admin", "/admin/sessions_app/run/", user="admin"),
        Request("sign-in", "/sign-in/", "POST", {"Content-Type": FORM}, form({"username": "x"})),
        Request("generate", "/generate?workflow=probe", "POST", {"Content-Type": JSON}, data),
        Request("health", "/health", user=None),
        Request("static", "/static/chat_app/icon.svg", user=None),
    ]
    doors = [(base, name) for base in bases for name in HEADERS]
    throw(
        attacked,
        (
            Request(
                f"{base.door} {name}: {entry}",
                base.path,
                base.method,
                {**(base.headers or {}), name: text},
                base.body,
                base.user,
            )
            for (base, name), (entry, text) in spread(doors, [*entries("headers").items()], 24)
            # With a number the server waits for so much of a body, as it should.
            if not (name == "Content-Length" and text.isdigit())
        ),
    )
