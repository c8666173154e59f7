"""Tests of who may do what over HTTP."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import NewServer
from tests.http.api_keys import make_key
from tests.http.client import Http
from tests.inbox.people import make_group
from tests.support.polling import until
from tests.support.server import Server

GUEST = "a-guest-without-any-account"
PATHS = [
    "/generate",
    "/generate/stream",
    "/v1/workflow",
    "/v1/workflow/stream",
    "/chat",
    "/chat/stream",
    "/v1/chat",
    "/v1/chat/stream",
    "/v1/chat/completions",
    "/generate/full",
    "/v1/workflow/full",
    "/generate/async",
    "/v1/workflow/async",
]
BODY = {"input_message": 'echo("1")', "messages": [{"role": "user", "content": 'echo("1")'}]}


@pytest.fixture(scope="module")
def with_guests(new_module_server: NewServer) -> Server:
    return new_module_server(GUESTS="true")


def runs(server: Server) -> int:
    return len(server.rows("SELECT 1 FROM sessions_app_run"))


OWNERS = """
    SELECT username FROM auth_user u JOIN sessions_app_conversation c ON c.owner_id = u.id
    WHERE c.conversation_id = ?
"""


def owners(server: Server, conversation: str) -> list[str]:
    return [row["username"] for row in server.rows(OWNERS, conversation)]


def test_requests_without_an_identity_are_401(shared: Server) -> None:
    before = runs(shared)
    http = Http(shared, None)
    answers = [http.post(path, BODY) for path in PATHS]
    unknown = "00000000-0000-4000-8000-000000000000"
    answers += [http.get(path) for path in ("/monitor/users", f"/executions/{unknown}")]
    assert {answer.status for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert runs(shared) == before


@pytest.mark.parametrize(
    ("user", "headers", "status"),
    [
        # A page of another site, which cannot use the session.
        ("ann", {"x-csrftoken": ""}, 403),
        ("ann", {"x-csrftoken": "d" * 32}, 403),
        ("ann", {"origin": "https://evil.example"}, 403),
        ("ann", {"x-csrftoken": "", "content-type": "text/plain"}, 403),
        ("ann", {"x-csrftoken": "", "authorization": "Bearer x"}, 403),
        # Credentials of nobody.
        (None, {"authorization": "Bearer nak_0_0"}, 401),
        (None, {"authorization": "Bearer a.b.c"}, 401),
        (None, {"authorization": "Basic YW5uOmFubg=="}, 401),
        (None, {"x-api-key": "nak_0_0"}, 401),
        (None, {"x-api-key": ""}, 401),
        # A guest, where guests are off.
        (None, {"cookie": f"nat-session={GUEST}"}, 401),
    ],
)
def test_a_request_with_wrong_credentials_starts_nothing(
    shared: Server, user: str | None, headers: dict[str, str], status: int
) -> None:
    before = runs(shared)
    answer = Http(shared, user, headers=headers).post("/generate", BODY)
    assert (answer.status, answer.json()["code"]) == (status, "user_auth_error")
    assert runs(shared) == before


def test_requests_from_our_own_origin_are_allowed(shared: Server) -> None:
    answer = Http(shared).post("/generate", BODY, origin=shared.url)
    assert answer.status == 200


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_an_api_key_needs_no_csrf_token(shared: Server, header: str) -> None:
    key = make_key(shared, "ben")
    value = f"Bearer {key}" if header == "authorization" else key
    http = Http(shared, None, headers={header: value})
    assert http.generate('echo("1")', conversation_id=f"by {header}").status == 200
    assert owners(shared, f"by {header}") == ["ben"]


@pytest.mark.slow
def test_a_guest_whom_a_question_is_for_looks_up_nobody(with_guests: Server) -> None:
    token = "a-guest-who-is-asked-something"
    guest = Http(with_guests, None, session=token)
    guest.generate('echo("1")', conversation_id="a member's")
    make_group(with_guests, "guests", owners(with_guests, "a member's"))
    message = {"text": 'ask_others(to="guests")', "workflow": "probe"}
    assert Http(with_guests).form("/c/asks/messages/", message).status == 303
    [prompt] = until(lambda: guest.get("/v1/inbox").json()["prompts"])
    people = f"/v1/prompts/{prompt['interaction_id']}/people?q=be&session={token}"
    assert guest.get(people).json() == {"people": []}


def test_a_page_of_another_site_cannot_use_a_guests_cookie(with_guests: Server) -> None:
    http = Http(with_guests, None, headers={"cookie": f"nat-session={GUEST}"})
    elsewhere = "https://evil.example"
    assert http.post("/generate", BODY, origin=elsewhere).status == 401
    assert http.post("/generate", BODY, origin=with_guests.url).status == 200


def test_a_page_of_another_site_that_names_a_guest_is_that_one(with_guests: Server) -> None:
    headers = {"cookie": f"nat-session={GUEST}"}
    own_page = Http(with_guests, None, headers=headers)
    own_page.generate('echo("1")', conversation_id="own")
    other_page = Http(with_guests, None, headers=headers, session=GUEST[::-1])
    other_page.generate('echo("1")', conversation_id="other", origin="https://evil.example")
    assert owners(with_guests, "other") not in (owners(with_guests, "own"), [])


@pytest.mark.slow
def test_monitoring_shows_the_live_builders(server: Server) -> None:
    stops = [
        Http(server, user, workflow="expense_approval").generate("Taxi, 20 EUR").json()
        for user in ("ann", "ben")
    ]
    admin = Http(server, "admin", workflow=None)
    report = _monitored(admin, lambda users: len(users) == 2)
    assert report["total_active_users"] == 2
    assert all(user["session"]["is_active"] for user in report["users"])
    assert {user["workflow"] for user in report["users"]} == {"expense_approval"}

    (ann,) = server.rows("SELECT id FROM auth_user WHERE username = 'ann'")
    (conversation,) = server.rows(
        "SELECT conversation_id FROM sessions_app_conversation WHERE owner_id = ?", ann["id"]
    )
    Http(server).post(f"/c/{conversation['conversation_id']}/stop/", "")
    assert stops[0]["status"] == "interaction_required"
    only = f"/monitor/users?{urlencode({'user_id': ann['id']})}"
    report = _monitored(admin, lambda users: users[0]["requests"]["total_requests"] == 1, only)
    (user,) = report["users"]
    assert user["user_id"] == str(ann["id"])
    assert user["session"]["is_active"] is False
    assert user["requests"]["avg_latency_ms"] > 0


def _monitored(admin: Http, is_wanted: Callable[[Any], bool], path: str = "/monitor/users") -> Any:

    def look() -> Any:
        report = admin.get(path).json()
        return report if is_wanted(report["users"]) else None

    return until(look, otherwise=lambda: admin.get(path).text)


@pytest.mark.parametrize(
    "path",
    ["/v1/responses", "/generate/", "/generate/other", "/executions", "/health/all", "/v2/chat"],
)
@pytest.mark.parametrize("user", ["ann", None])
def test_an_unknown_path_is_a_problem_and_no_page(
    shared: Server, path: str, user: str | None
) -> None:
    http = Http(shared, user)
    for answer in (http.get(path), http.post(path, {}, x_csrftoken=None)):
        assert (answer.status, answer.json()["code"]) == (404, "invalid_message")
        assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_path_outside_of_the_interface_is_a_page_for_browsers(shared: Server) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = Http(shared).get("/v2/chat", accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/models", "POST"),
        ("/generate/stream", "GET"),
        ("/health", "POST"),
        ("/live", "DELETE"),
        ("/openapi.json", "POST"),
        ("/v1/inbox", "DELETE"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_a_problem(
    shared: Server, path: str, method: str
) -> None:
    http = Http(shared, headers={"x-csrftoken": ""})
    answer = http.send(method, path)
    assert (answer.status, answer.json()["code"]) == (405, "invalid_message")
    allowed = "POST" if path == "/generate/stream" else "GET, HEAD"
    assert answer.headers["allow"] == allowed
    assert allowed in answer.json()["message"]


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/live", "/openapi.json", "/v1/inbox"])
def test_a_path_that_takes_get_takes_head(shared: Server, path: str) -> None:
    http = Http(shared)
    head, get = http.send("HEAD", path), http.get(path)
    assert (head.status, head.text) == (get.status, "") == (200, "")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_program_reads_the_document_with_a_key_and_browsers_are_led_to_the_sign_in(
    shared: Server,
) -> None:
    nobody, path = Http(shared, None), "/openapi.json"
    assert nobody.get(path).json()["status"] == 401
    assert nobody.get(path, authorization="Bearer nak_0_0").json()["status"] == 401
    assert nobody.get(path, authorization=f"Bearer {make_key(shared, 'ben')}").status == 200
    assert nobody.get(path, accept="text/html").status == 302
