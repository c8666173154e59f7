"""The inbox over HTTP; and every door, tried for a prompt that is not one's own."""

from typing import Any
from uuid import UUID

import pytest

from tests.http.client import Http
from tests.inbox.people import ask_managers, inbox_of, leave_groups, make_group, name_user
from tests.support.server import Response, Server

NOBODY = "00000000-0000-4000-8000-000000000000"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def inbox_prompt(server: Server) -> dict[str, Any]:
    """Return a prompt of ann's for the managers, ben and user0, as ben's inbox has it."""
    make_group(server)
    return ask_managers(server)


def cookies_of_ben(server: Server, response: Response) -> str:
    """Return what a browser sends after the response: with what is said on the next page."""
    new_cookies = [one.partition(";")[0] for one in response.headers.get_all("Set-Cookie") or ()]
    return "; ".join([f"sessionid={server.cookies['ben']}", *new_cookies])


@pytest.mark.slow
def test_a_prompt_is_listed_claimed_delegated_and_answered(
    server: Server, inbox_prompt: dict[str, Any]
) -> None:
    assert inbox_prompt["prompt"]["text"] == "Give ann 3 days off?"
    assert (inbox_prompt["owner"], inbox_prompt["conversation_id"], inbox_prompt["to"]) == (
        "ann",
        None,
        ["managers"],
    )
    assert inbox_prompt["may_answer"]
    [mine] = inbox_of(server, "ann", "?part=others")
    assert (mine["interaction_id"], mine["conversation_id"]) == (
        inbox_prompt["interaction_id"],
        "kept",
    )
    assert not mine["may_answer"]
    run = UUID(str(server.rows("SELECT id FROM sessions_app_run")[0]["id"]))
    status_body = Http(server).get(f"/executions/{run}").json()
    assert status_body["status"] == "running"
    assert [one["to"] for one in status_body["waits_for"]] == [["managers"]]
    ben, user0, user1 = (Http(server, name) for name in ("ben", "user0", "user1"))
    claimed = ben.post(inbox_prompt["claim_url"], {})
    assert (claimed.status, claimed.json()["assignee"]) == (200, "ben")
    assert user0.post(inbox_prompt["claim_url"], {}).status == 409
    refusal = user0.post(inbox_prompt["response_url"], {"response": {"text": "yes"}})
    assert (refusal.status, refusal.json()["claimed_by"]) == (409, "ben")
    assert inbox_of(server, "user0") == []
    handed = ben.post(inbox_prompt["claim_url"], {"change": "delegate", "to": "user1"})
    assert handed.json()["assignee"] == "user1"
    assert ben.post(inbox_prompt["claim_url"], {"change": "delegate", "to": "nobody"}).status == 409
    assert user1.post(inbox_prompt["response_url"], {"response": {"text": "maybe"}}).status == 422
    assert user1.post(inbox_prompt["response_url"], {"response": {"text": "yes"}}).status == 204
    [answered_prompt] = inbox_of(server, "user1", "?part=answered")
    assert (answered_prompt["status"], answered_prompt["answered_by"]) == ("answered", "user1")
    late = ben.post(inbox_prompt["response_url"], {"response": {"text": "no"}})
    assert (late.status, late.json()["answered_by"]) == (400, "user1")
    assert Http(server).form("/c/kept/delete/", {}).status == 303
    assert inbox_of(server, "user1", "?part=answered") == []


@pytest.mark.slow
def test_a_prompt_is_delegated_by_name_with_a_note(
    server: Server, inbox_prompt: dict[str, Any]
) -> None:
    name_user(server, "user1", "Una", "One")
    ben, user0, user1 = (Http(server, name) for name in ("ben", "user0", "user1"))
    people = f"/v1/prompts/{inbox_prompt['interaction_id']}/people?q=un"
    assert ben.get(people).json() == {"people": [{"username": "user1", "name": "Una One"}]}
    assert user1.get(people).status == 404
    for change in ("claim", "claim", "release", "release", "claim"):  # each may be repeated
        assert ben.post(inbox_prompt["claim_url"], {"change": change}).status == 200
    assert user0.get(people).json() == {"people": []}
    note = {"by": "ben", "text": "See page 2."}
    delegation = {"change": "delegate", "to": "una one", "note": note["text"]}
    handed = ben.post(inbox_prompt["claim_url"], delegation).json()
    assert (handed["assignee"], handed["note"]) == ("user1", note)


@pytest.mark.slow
def test_a_claim_on_what_waits_no_longer_is_refused(
    server: Server, inbox_prompt: dict[str, Any]
) -> None:
    ben, user0 = Http(server, "ben"), Http(server, "user0")
    at = f"/v1/prompts/{inbox_prompt['interaction_id']}"
    assert ben.get(at).json()["may_answer"]
    assert user0.post(inbox_prompt["response_url"], {"response": {"text": "yes"}}).status == 204
    assert not ben.get(at).json()["may_answer"]
    for change in ({}, {"change": "release"}, {"change": "delegate", "to": "user0"}):
        response = ben.post(inbox_prompt["claim_url"], change)
        assert (response.status, response.json()["interaction_status"]) == (409, "answered")
    claim = f"/p/{inbox_prompt['interaction_id']}/claim/"
    back = ben.post(claim, "change=claim", content_type=FORM)
    cookie = cookies_of_ben(server, back)
    assert "This question is no longer waiting for you." in ben.get("/inbox/", cookie=cookie).text


@pytest.mark.slow
def test_a_conversation_is_shared_while_it_asks_where_its_workflow_says_so(server: Server) -> None:
    make_group(server)
    prompt = ask_managers(server)
    ben, ann = Http(server, "ben"), Http(server)
    assert ben.get(f"/v1/prompts/{prompt['interaction_id']}").json()["shared"] == []
    assert "The conversation with" not in server.get(f"/p/{prompt['interaction_id']}/", "ben").text
    assert ben.post(prompt["response_url"], {"response": {"text": "no"}}).status == 204

    prompt = ask_managers(server, "share=True")
    assert prompt["shared"] == []  # in the list
    at, page = f"/v1/prompts/{prompt['interaction_id']}", f"/p/{prompt['interaction_id']}/"
    shared = ben.get(at).json()["shared"]
    assert [one["role"] for one in shared] == ["user", "assistant"] * 2
    assert [one["text"] for one in shared[::2]] == [
        'ask_others(to="managers")',
        'ask_others(to="managers", share=True)',
    ]
    assert "answered: Reject (ben, " in shared[1]["text"]
    assert shared[1]["text"].endswith("no.")
    assert shared[3]["text"].strip() == "I ask **them**."  # without the prompt itself
    text = server.get(page, "ben").text
    assert "The conversation with ann" in text
    assert "I ask <strong>them</strong>." in text
    assert "The conversation with" not in server.get(page, "ann").text  # she has it
    assert Http(server, "user1").get(at).status == 404
    assert ben.post(prompt["response_url"], {"response": {"text": "yes"}}).status == 204
    for http in (ben, ann):
        assert http.get(at).json()["shared"] == []
    assert "I ask" not in server.get(page, "ben").text
    prompt = ask_managers(server, "share=True, days=4")
    shared = ben.get(f"/v1/prompts/{prompt['interaction_id']}").json()["shared"]
    options = ["", ", share=True", ", share=True, days=4"]
    assert [one["text"] for one in shared[::2]] == [
        f'ask_others(to="managers"{one})' for one in options
    ]


@pytest.mark.slow
def test_who_has_voted_and_may_answer_no_more_reads_no_shared_conversation(server: Server) -> None:
    make_group(server)
    ben = Http(server, "ben")
    prompt = ask_managers(server, "share=True, votes=2")
    at, page = f"/v1/prompts/{prompt['interaction_id']}", f"/p/{prompt['interaction_id']}/"
    assert ben.post(prompt["response_url"], {"response": {"text": "yes"}}).status == 204
    assert ben.get(at).json()["shared"]
    leave_groups(server, "ben")
    assert ben.get(at).json()["shared"] == []
    assert "The conversation with" not in server.get(page, "ben").text


@pytest.mark.slow
def test_the_inbox_is_filtered_by_part_and_search(
    server: Server, inbox_prompt: dict[str, Any]
) -> None:
    for query, count in (
        ("?part=groups", 1),
        ("?part=mine", 0),
        ("?part=claimed", 0),
        ("?part=answered", 0),
        ("?q=3+DAYS", 1),
        ("?q=wednes", 1),  # a detail
        ("?q=probe", 1),  # the workflow
        ("?q=nothing", 0),
        ("?q=%25", 0),
        ("?page=2", 0),
    ):
        assert len(inbox_of(server, "ben", query)) == count, query
    assert Http(server, "ben").get("/v1/inbox?part=else").status == 422


def test_a_background_refresh_leaves_messages_for_the_next_page(
    server: Server, inbox_prompt: dict[str, Any]
) -> None:
    """The page hears that the prompt went before the browser has followed to where that is said."""
    ben = Http(server, "ben")
    several = f"prompt={inbox_prompt['interaction_id']}&value=yes&sent=1"
    response = ben.post("/inbox/answers/", several, content_type=FORM)
    cookie = cookies_of_ben(server, response)
    looked = ben.get("/inbox/", cookie=cookie, x_background="1")
    assert (looked.status, "1 answered." in looked.text) == (200, False)
    assert "messages=" not in str(looked.headers)
    assert "1 answered." in ben.get("/inbox/", cookie=cookie).text


@pytest.mark.slow
def test_a_prompt_for_other_people_is_404_everywhere(
    server: Server, inbox_prompt: dict[str, Any]
) -> None:
    """User1 is in no group, and ben leaves his."""
    leave_groups(server, "ben")
    for name in ("user1", "ben"):
        http = Http(server, name)
        assert inbox_of(server, name) == []
        assert inbox_of(server, name, "?q=days") == []
        for part in ("all", "mine", "groups", "claimed", "others", "answered"):
            assert "3 days off" not in server.get(f"/inbox/?part={part}", name).text
        response_texts = []
        for id_ in (inbox_prompt["interaction_id"], NOBODY):
            prompt, page = f"/v1/prompts/{id_}", f"/p/{id_}/"
            answers = [
                http.get(prompt),
                http.post(f"{prompt}/response", {"response": {"text": "yes"}}),
                http.post(f"{prompt}/claim", {}),
                http.post(f"{prompt}/claim", {"change": "delegate", "to": name}),
                http.get(page),
                http.post(f"{page}answer/", "value=yes", content_type=FORM),
                http.post(f"{page}claim/", "change=claim", content_type=FORM),
                http.post(f"{page}claim/", f"change=delegate&to={name}", content_type=FORM),
            ]
            assert [one.status for one in answers] == [404] * len(answers)
            response_texts.append([one.text.replace(str(id_), "") for one in answers])
        assert response_texts[0][:4] == response_texts[1][:4]
        several = f"prompt={inbox_prompt['interaction_id']}&value=yes"
        for form in (several, f"{several}&sent=1"):
            assert http.post("/inbox/answers/", form, content_type=FORM).status == 303
        assert "3 days off" not in server.get("/inbox/", name).text
    assert server.rows("SELECT status FROM sessions_app_interaction")[0]["status"] == "pending"
