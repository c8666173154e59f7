"""The OpenAPI document, and its page."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from playwright.sync_api import expect

from tests.http.client import Http, Json, chat
from tests.http.test_access import PATHS
from tests.support.browser import OpenPage
from tests.support.server import Server

PROMPTS = ('prompt(kind="radio")', 'prompt(kind="oauth_consent")', 'ask_others(to="@ben")')
PROMPT = "/v1/prompts/{interaction_id}"
INBOX = ("/v1/inbox", PROMPT, f"{PROMPT}/response", f"{PROMPT}/claim", f"{PROMPT}/people")
OTHERS = (*INBOX, "/callbacks/{token}", "/feedback", "/mcp/client/tool/list")
pytestmark = pytest.mark.formless  # the document is made of the code


@pytest.fixture(scope="module")
def document(shared: Server) -> Json:
    content: Json = shared.get("/openapi.json", "ann").json()
    return content


def check(document: Json, path: str, method: str, answer: Any) -> None:
    operation = document["paths"][path][method]
    responses = operation["responses"]
    content = responses.get(str(answer.status), responses["default"])["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = {**content[media_type]["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(answer.json())


def test_the_document_has_every_path(document: Json) -> None:
    assert document["openapi"].startswith("3.")
    execution = "/executions/{execution_id}"
    answer = f"{execution}/interactions/{{interaction_id}}/response"
    operating = (f"{execution}/resume", f"{execution}/fork")
    assert set(document["paths"]) == {
        *PATHS,
        execution,
        answer,
        *operating,
        "/monitor/users",
        "/v1/models",
        "/v1/models/{model}",
        "/generate/async/job/{job_id}",
        "/v1/workflow/async/job/{job_id}",
        *OTHERS,
    }
    streams = [path for path in PATHS if path.endswith(("/stream", "/full"))]
    for path in streams:
        responses = document["paths"][path]["post"]["responses"]
        assert list(responses["200"]["content"]) == ["text/event-stream"]
    names = [
        operation["operationId"]
        for each in document["paths"].values()
        for operation in each.values()
    ]
    assert len(names) == len(set(names))


def test_the_parts_of_a_message_are_those_of_its_content(document: Json) -> None:
    schemas = document["components"]["schemas"]  # by the names of the classes
    content = schemas["OpenAIMessage"]["properties"]["content"]
    [part] = [kind["items"]["$ref"] for kind in content["anyOf"] if kind["type"] == "array"]
    assert set(schemas[part.rpartition("/")[2]]["properties"]) == {"type", "text"}


@pytest.mark.slow
def test_responses_match_the_document(shared: Server, document: Json) -> None:
    http, nobody = Http(shared), Http(shared, None)
    check(document, "/generate", "post", http.generate('echo("1")'))
    bodies: list[Json] = [chat(text) for text in ('echo("1")', *PROMPTS, "fail()")]
    for body in (*bodies, {}):
        check(document, "/chat", "post", http.post("/chat", body))
    check(document, "/chat/stream", "post", nobody.post("/chat/stream", chat("ask()")))
    for text in ('echo("1")', "ask()", *PROMPTS, "fail()"):
        run = http.generate(text).headers["execution-id"]
        path = "/executions/{execution_id}"
        check(document, path, "get", http.get(f"/executions/{run}"))
    check(document, OTHERS[-1], "get", nobody.get(OTHERS[-1]))
    for text in ('echo("1")', "ask()", "fail()"):
        body = {"input_message": text, "sync_timeout": 5}
        job = http.post("/generate/async", body)
        check(document, "/generate/async", "post", job)
        path = "/generate/async/job/{job_id}"
        check(document, path, "get", http.get(path.format(**job.json())))
    for path in ("/v1/models", "/v1/inbox"):
        check(document, path, "get", http.get(path))
    for name in ("probe", "no-such"):
        check(document, "/v1/models/{model}", "get", http.get(f"/v1/models/{name}"))
    check(document, "/monitor/users", "get", Http(shared, "admin").get("/monitor/users"))


@pytest.mark.beyond("the docs page works under the content security policy")
@pytest.mark.slow
def test_the_docs_page_works_under_the_content_security_policy(open_page: OpenPage) -> None:
    page = open_page("/docs")
    page.locator("#operations-Runs-generate").click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("textarea").fill('{"input_message": "echo(\'hello\')"}')
    page.get_by_placeholder("workflow").fill("probe")
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .response").first
    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text("hello")
