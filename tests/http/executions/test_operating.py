"""What operators do to runs over HTTP."""

from uuid import UUID, uuid4

import pytest

from tests.http.client import Http
from tests.support.server import Server

pytestmark = pytest.mark.every_form(reason="what it operates on is hosted by another process")

YES = {"type": "text", "text": "yes"}


def run_of(server: Server) -> str:
    """The only run that there is."""
    (row,) = server.rows("SELECT id FROM sessions_app_run")
    return str(UUID(str(row["id"])))


def test_an_operator_resumes_a_run_that_failed(server: Server) -> None:
    ann, admin = Http(server), Http(server, "admin")
    assert ann.generate("fail").status == 422
    url = f"/executions/{run_of(server)}"
    assert ann.post(f"{url}/resume", "").status == 403
    assert admin.post(f"{url}/resume", "").status == 202
    resumed = "SELECT id FROM sessions_app_event WHERE CAST(payload AS TEXT) LIKE ?"
    assert len(server.rows(resumed, "%resumed by admin%")) == 1


def test_what_goes_on_or_is_not_there_is_not_resumed(server: Server) -> None:
    admin = Http(server, "admin")
    stop = Http(server).generate("ask").json()
    assert admin.post(f"{stop['status_url']}/resume", "").status == 409
    assert admin.post(f"/executions/{uuid4()}/resume", "").status == 404


def test_an_operator_forks_a_run_and_its_owner_answers_anew(server: Server) -> None:
    ann, admin = Http(server), Http(server, "admin")
    stop = ann.generate("ask", conversation_id="c", user_message_id="m1").json()
    ann.answer(stop, YES)
    said = ann.generate("ask", conversation_id="c", user_message_id="m1").json()
    url = f"{stop['status_url']}/fork"
    assert ann.post(url, {"position": 1}).status == 403
    forked = admin.post(url, {"position": 1}, user_message_id="f1")
    assert forked.status == 202
    assert admin.post(url, {"position": 1}, user_message_id="f1").json() == forked.json()

    anew = ann.generate("ask", conversation_id="c", user_message_id="f1").json()
    assert anew["execution_id"] == forked.json()["execution_id"] != stop["execution_id"]
    assert anew["status_url"] == forked.json()["status_url"]
    ann.answer(anew, {"type": "text", "text": "no"})
    assert ann.generate("ask", conversation_id="c", user_message_id="f1").json() != said
    assert ann.get(stop["status_url"]).json()["result"] == said
    assert "Begun again by admin" in ann.get("/c/c/").text


def test_positions_that_a_run_has_not_come_to_are_refused(server: Server) -> None:
    admin = Http(server, "admin")
    url = f"{Http(server).generate('ask').json()['status_url']}/fork"
    refused = admin.post(url, {"position": 9})
    assert (refused.status, refused.json()["last"]) == (422, 2)
    assert [admin.post(url, body).status for body in ({}, {"position": "one"})] == [422, 422]
    assert admin.post(f"/executions/{uuid4()}/fork", {"position": 1}).status == 404


@pytest.mark.long
def test_after_a_start_the_overview_says_which_waiting_runs_the_code_no_longer_matches(
    server: Server,
) -> None:
    stop = Http(server).generate("ask").json()
    server.kill()
    server.execute("UPDATE sessions_app_interaction SET name = ?", "renamed")
    server.start()
    said = ""
    for _ in range(2000):
        said = server.get("/admin/", "admin").text
        if "1 waiting that the code no longer matches" in " ".join(said.split()):
            break
    else:
        raise AssertionError(said)
    page = server.get(f"/admin/sessions_app/run/{stop['execution_id']}/change/", "admin").text
    assert "the name was &#x27;renamed&#x27;" in page
    found = server.get("/admin/sessions_app/run/?replay_problem__isempty=0", "admin").text
    assert stop["execution_id"] in found
    assert Http(server).get(stop["status_url"]).json()["status"] == "interaction_required"
