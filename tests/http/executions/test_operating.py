"""Tests of what operators do to runs over HTTP."""

from uuid import uuid4

import pytest

from tests.http.client import Http
from tests.security.people import PERMIT
from tests.support.polling import until
from tests.support.server import Server

pytestmark = pytest.mark.every_form(reason="what it operates on is hosted by another process")

YES = {"type": "text", "text": "yes"}
RESUMED = """
    SELECT e.id FROM sessions_app_event e
    JOIN sessions_app_conversation c ON c.id = e.conversation_id
    WHERE c.conversation_id = ? AND CAST(e.payload AS TEXT) LIKE ?
"""


@pytest.mark.slow
def test_an_operator_resumes_a_run_that_failed(shared: Server) -> None:
    ann, admin = Http(shared), Http(shared, "admin")
    response = ann.generate("fail()")
    assert response.status == 422
    url = f"/executions/{response.headers['execution-id']}"
    assert ann.post(f"{url}/resume", "").status == 403
    assert admin.post(f"{url}/resume", "").status == 202
    assert len(shared.rows(RESUMED, response.headers["conversation-id"], "%resumed by admin%")) == 1


def test_resuming_an_active_or_unknown_run_is_refused(shared: Server) -> None:
    admin = Http(shared, "admin")
    stop = Http(shared).generate("ask()").json()
    assert admin.post(f"{stop['status_url']}/resume", "").status == 409
    assert admin.post(f"/executions/{uuid4()}/resume", "").status == 404


@pytest.mark.slow
def test_an_operator_forks_a_run_and_its_owner_answers_anew(shared: Server) -> None:
    ann, admin = Http(shared), Http(shared, "admin")
    first = {"conversation_id": "forked", "user_message_id": "m1"}
    forks = {"conversation_id": "forked", "user_message_id": "f1"}
    stop = ann.generate("ask()", **first).json()
    ann.answer(stop, YES)
    result = ann.generate("ask()", **first).json()
    url = f"{stop['status_url']}/fork"
    assert ann.post(url, {"position": 1}).status == 403
    forked = admin.post(url, {"position": 1}, user_message_id="f1")
    assert forked.status == 202
    assert admin.post(url, {"position": 1}, user_message_id="f1").json() == forked.json()

    anew = ann.generate("ask()", **forks).json()
    assert anew["execution_id"] == forked.json()["execution_id"] != stop["execution_id"]
    assert anew["status_url"] == forked.json()["status_url"]
    ann.answer(anew, {"type": "text", "text": "no"})
    assert ann.generate("ask()", **forks).json() != result
    assert ann.get(stop["status_url"]).json()["result"] == result
    assert "Started again by admin" in ann.get("/c/forked/").text


@pytest.mark.slow
def test_staff_who_may_only_look_at_runs_do_nothing_to_them(server: Server) -> None:
    server.execute("UPDATE auth_user SET is_staff = ? WHERE username = 'ben'", True)
    server.execute(PERMIT, "ben", "view_run")
    ben = Http(server, "ben")
    url = f"/executions/{Http(server).generate('fail()').headers['execution-id']}"
    assert ben.post(f"{url}/fork", {"position": 1}).status == 403
    assert ben.post(f"{url}/resume", "").status == 403
    server.execute(PERMIT, "ben", "change_run")
    assert ben.post(f"{url}/resume", "").status == 202


def test_positions_that_a_run_has_not_come_to_are_refused(shared: Server) -> None:
    admin = Http(shared, "admin")
    url = f"{Http(shared).generate('ask()').json()['status_url']}/fork"
    response = admin.post(url, {"position": 9})
    assert (response.status, response.json()["last"]) == (422, 2)
    assert [admin.post(url, body).status for body in ({}, {"position": "one"})] == [422, 422]
    assert admin.post(f"/executions/{uuid4()}/fork", {"position": 1}).status == 404


@pytest.mark.slow
def test_after_a_start_the_overview_says_which_waiting_runs_the_code_no_longer_matches(
    server: Server,
) -> None:
    stop = Http(server).generate("ask()").json()
    server.kill()
    server.execute("UPDATE sessions_app_interaction SET name = ?", "renamed")
    server.start()

    def overview() -> str:
        return " ".join(server.get("/admin/", "admin").text.split())

    until(lambda: "1 waiting that the code no longer matches" in overview(), otherwise=overview)
    page = server.get(f"/admin/sessions_app/run/{stop['execution_id']}/change/", "admin").text
    assert "the name was &#x27;renamed&#x27;" in page
    list_page = server.get("/admin/sessions_app/run/?replay_problem__isempty=0", "admin").text
    assert stop["execution_id"] in list_page
    assert Http(server).get(stop["status_url"]).json()["status"] == "interaction_required"
