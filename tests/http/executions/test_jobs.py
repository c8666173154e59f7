"""Runs as the peer's jobs; steps as its evaluation reads them."""

import json

from tests.http.client import Http
from tests.support.server import Server

JOB = "/generate/async"


def test_a_job_is_begun_once_and_asked_about(shared: Server) -> None:
    http = Http(shared)
    body = {"input_message": "ask()", "job_id": "jobs-1"}
    begin_response = http.post(JOB, body, user_message_id="m1")  # its name counts
    assert (begin_response.status, begin_response.json()["job_id"]) == (202, "jobs-1")
    assert begin_response.json()["status"] in ("submitted", "running")
    second_response = http.post(
        JOB, {"input_message": "ask()", "job_id": "jobs-1", "sync_timeout": 30}
    )
    assert (second_response.status, second_response.json()["status"]) == (
        202,
        "running",
    )  # it waits for an answer
    assert second_response.json()["execution_id"] == begin_response.json()["execution_id"]
    stop = http.get(begin_response.json()["status_url"]).json()
    http.answer(stop, {"type": "text", "text": "yes"})
    response = http.post(JOB, {"input_message": "ask()", "job_id": "jobs-1", "sync_timeout": 30})
    assert (response.status, response.json()["status"]) == (200, "success")
    job_response = http.get(f"{JOB}/job/jobs-1")
    assert (job_response.status, job_response.json()) == (200, response.json())
    assert (job_response.json()["output"], job_response.json()["error"]) == ({"value": "yes"}, None)
    assert Http(shared, "ben").get(f"{JOB}/job/jobs-1").status == 404
    assert http.get(f"{JOB}/job/none").status == 404


def test_the_status_of_a_failed_job_is_failure(shared: Server) -> None:
    job = Http(shared).post(JOB, {"input_message": "fail()", "sync_timeout": 30})
    assert (job.status, job.json()["status"], job.json()["output"]) == (200, "failure", None)
    assert job.json()["error"]


def test_a_full_stream_has_the_events_of_the_peer(shared: Server) -> None:
    http, body = Http(shared), {"input_message": "step(count=1)"}
    with http.stream("/generate/full", body) as stream:
        events = stream.rest()
    assert "".join(event.json()["value"] for event in events if event.data) == "s1 "
    steps = [one.lines["intermediate_data"] for one in events if "intermediate_data" in one.lines]
    assert [step["type"] for step in steps] == ["FUNCTION_START", "FUNCTION_END"]
    payloads = [json.loads(step["payload"]) for step in steps]
    assert [one["event_type"] for one in payloads] == ["FUNCTION_START", "FUNCTION_END"]
    assert len({one["UUID"] for one in payloads}) == 1
    assert payloads[0]["event_timestamp"] <= payloads[1]["event_timestamp"]


def test_a_full_stream_leaves_out_what_its_filter_does_not_name(shared: Server) -> None:
    for filter_, types in (("FUNCTION_END,LLM_END", ["FUNCTION_END"]), ("none", [])):
        with Http(shared, filter_steps=filter_).stream(
            "/generate/full", {"input_message": "step(count=1)"}
        ) as stream:
            lines = [event.lines.get("intermediate_data") for event in stream.rest()]
        assert [line["type"] for line in lines if line] == types
