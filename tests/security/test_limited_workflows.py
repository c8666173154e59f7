"""A workflow that is limited to some people is not there for the others, at any door."""

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, chat
from tests.support.server import Response, Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.formless  # who may does not depend on where rows are

CONFIG = """
default: calculator
workflows:
  calculator: {groups: [managers]}
  expense_approval: {groups: [managers], permission: auth.view_user}
  probe: {}
"""
JOIN = """
    INSERT INTO auth_user_groups (user_id, group_id)
    SELECT u.id, g.id FROM auth_user u, auth_group g WHERE u.username = ? AND g.name = 'managers'
"""
LEAVE = "DELETE FROM auth_user_groups WHERE user_id = (SELECT id FROM auth_user WHERE username = ?)"
PERMIT = """
    INSERT INTO auth_user_user_permissions (user_id, permission_id)
    SELECT u.id, p.id FROM auth_user u, auth_permission p
    WHERE u.username = 'user0' AND p.codename = 'view_user'
"""
MANAGER, STRANGER, PERMITTED, SUPERUSER = "ann", "ben", "user0", "admin"
LEAVING = "user1"
# The first of the calculator.
STARTER = "2 * (3 + 4)"
BEGUN = "SELECT workflow FROM sessions_app_conversation ORDER BY created_at DESC LIMIT 1"


@pytest.fixture(scope="module")
def server(new_module_server: NewServer) -> Server:
    server = new_module_server(workflows=CONFIG)
    server.execute("INSERT INTO auth_group (name) VALUES ('managers')")
    server.execute(JOIN, MANAGER)
    server.execute(JOIN, LEAVING)
    server.execute(PERMIT)
    return server


def begin(server: Server, user: str, workflow: str | None) -> Response:
    return Http(server, user, workflow=workflow).generate("1 + 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "may", "first"),
    [
        (MANAGER, {"calculator", "expense_approval", "probe"}, "calculator"),
        (PERMITTED, {"expense_approval", "probe"}, "probe"),
        (SUPERUSER, {"calculator", "expense_approval", "probe"}, "calculator"),
        (STRANGER, {"probe"}, "probe"),
    ],
)
def test_people_see_and_start_only_the_workflows_they_may_use(
    server: Server, user: str, may: set[str], first: str
) -> None:
    begin(server, user, None)
    assert server.rows(BEGUN) == [{"workflow": first}]
    for name in ("calculator", "expense_approval", "probe"):
        answer = begin(server, user, name)
        assert (answer.status != 422) == (name in may)
        if name not in may:
            offered = ", ".join(sorted(may))
            sentence = f"There is no workflow '{name}' here. Offered are: {offered}."
            assert answer.json()["message"] == sentence
    page = Http(server, user, workflow=None).get("/c/new/").text
    titles = {"calculator": "Calculator", "expense_approval": "Expense approval", "probe": "Probe"}
    assert {name for name, title in titles.items() if title in page} == may
    models = Http(server, user, workflow=None).get("/v1/models").json()["data"]
    assert {model["id"] for model in models} == may


def test_a_forbidden_model_name_starts_the_default_workflow(server: Server) -> None:
    for user, workflow in ((MANAGER, "calculator"), (STRANGER, "probe")):
        body = chat("1 + 1") | {"model": "calculator"}
        Http(server, user, workflow=None).post("/v1/chat/completions", body)
        assert server.rows(BEGUN) == [{"workflow": workflow}]


async def test_the_socket_refuses_a_forbidden_workflow(server: Server) -> None:
    async with WsClient(server, "c", user=STRANGER, workflow="calculator") as ben:
        await ben.message("1 + 1")
        error = await ben.until("error_message")
        assert "There is no workflow 'calculator' here" in str(error)


def test_a_form_of_the_page_is_refused(server: Server) -> None:
    fields = {"text": "1 + 1", "starter": "calculator:0", "message_id": "m1"}
    response = Http(server, STRANGER, workflow=None).form("/c/new/messages/", fields)
    assert response.status == 422
    assert "There is no workflow" in response.text
    assert STARTER not in response.text
    assert STARTER in Http(server, MANAGER, workflow=None).get("/c/new/").text


@pytest.mark.slow
def test_former_members_finish_their_runs_and_start_no_others(server: Server) -> None:
    person = Http(server, LEAVING, workflow="expense_approval")
    stop = person.generate("Taxi, 20 EUR", conversation_id="c").json()
    server.execute(LEAVE, LEAVING)
    for conversation in ("c", None):
        assert person.generate("Taxi, 30 EUR", conversation_id=conversation).status == 422
    assert "Taxi, 20 EUR" in person.get("/c/c/").text
    assert person.answer(stop, {"type": "text", "text": "Sales"}).status == 204
