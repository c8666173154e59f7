"""Tests of what another site posts to a URL that a workflow made comes to its run, once."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.http.client import Http, Stream
from tests.support.server import Response, Server

pytestmark = pytest.mark.every_form(reason="what waits is hosted by another process")


def values(stream: Stream) -> Iterator[str]:
    for event in iter(stream.next, None):
        if "value" in (data := event.json() if event.data else {}):
            yield data["value"]


class Site:
    """A foreign site. It knows the paths of a run's URLs, and is nobody here."""

    def __init__(self, server: Server, stream: Stream) -> None:
        self._server = server
        self._stream = stream
        self.run = stream.headers["execution-id"]
        first = next(values(stream))
        self.paths = [urlsplit(url).path for url in re.findall(r"http\S+", first)]

    def post(self, body: object, number: int = 0) -> Response:
        return Http(self._server, None, workflow=None).post(self.paths[number], body)

    def rest(self) -> str:
        return "".join(values(self._stream))


@contextmanager
def waiting_run(server: Server, count: int = 1, **headers: str) -> Iterator[Site]:
    body = {"input_message": f"wait_for_callbacks(count={count})"}
    with Http(server).stream("/generate/stream", body, **headers) as stream:
        yield Site(server, stream)


def test_each_url_counts_once(shared: Server) -> None:
    with waiting_run(shared, 2) as site:
        assert site.post({"eur": 20}, 1).status == 204
        second_response = site.post({"eur": 99}, 1)
        assert (second_response.status, second_response.text) == (204, "")
        assert site.post("", 0).status == 204
        assert site.rest() == ' {"eur": 20} null'


@pytest.mark.slow
def test_a_url_is_the_same_after_the_death_of_its_process(server: Server) -> None:
    with waiting_run(server, user_message_id="m1") as site:
        server.kill()
    server.start()
    assert site.post('"late"').status == 204
    result = (
        Http(server).generate("wait_for_callbacks(count=1)", user_message_id="m1").json()["value"]
    )
    assert result.endswith(f'{site.paths[0]} "late"')


def test_a_callback_after_the_run_ended_is_410(shared: Server) -> None:
    with waiting_run(shared, 2) as site:
        site.post(1)
        Http(shared).delete(f"/executions/{site.run}")
        site.rest()
    response = site.post(2, 1)
    assert (response.status, response.json()["detail"]) == (410, "The run has ended.")
    assert site.post(1).status == 204


def test_a_forged_url_leads_nowhere(shared: Server) -> None:
    with waiting_run(shared) as site:
        payload, signature = site.paths[0].rsplit(".", 1)
        site.paths = [f"{payload}A.{signature}", f"{payload}.{signature[::-1]}"]
        site.paths += ["/callbacks/nonsense", "/callbacks/WyJhIl0.forged"]
        assert [site.post(1, number).status for number in range(4)] == [404] * 4
    assert Http(shared, None, workflow=None).get(site.paths[0]).status == 405


@pytest.mark.slow
@pytest.mark.parametrize(("body", "reason"), [("eur=20", "not JSON"), ("1e999", "is infinite")])
def test_a_body_that_is_no_json_is_refused_and_may_be_sent_again(
    shared: Server, body: str, reason: str
) -> None:
    with waiting_run(shared) as site:
        response = site.post(body)
        assert response.status == 422
        assert reason in response.text
        site.post({"eur": 20})
        assert site.rest() == ' {"eur": 20}'
