"""An application of a project adds to the runtime and the chat from outside."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from natproject.settings.env import ROOT
from tests.support.host_site.lines import Line, text
from tests.support.host_site.site import Site, environment, prepare, serve
from tests.support.host_site.visitor import Page, Visitor
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.websocket import WsClient

pytestmark = pytest.mark.formless
SHOP = Path(__file__).parent / "shop"
LINE = Line(
    "",
    text(
        'INSTALLED_APPS.append("tests.extending.shop")',
        'HITL |= {"PRINTER": DATA / "printer"}',
        'HITL |= {"WORKFLOWS_FILE": ROOT / "tests/extending/workflows.yaml"}',
    ),
)
HOME = "/assistant"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    template, data = tmp_path_factory.mktemp("template"), tmp_path_factory.mktemp("data")
    (data / "printer").touch()
    with serve(LINE, template, prepare(LINE, template), data) as site:
        yield site


@pytest.fixture
def person(site: Site) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(f"{HOME}/c/c0/")
    return visitor


def asked(person: Visitor, conversation: str) -> Page:
    """Begin a tour by the page's form, and return the page with its first question."""
    page = person.get(f"{HOME}/c/{conversation}/")
    url, fields = page.form("message_id")
    person.post(url, {**fields, "text": "Hello"}, referer=page.url)
    return until(lambda: with_card(person.get(page.url)))


def with_card(page: Page) -> Page | None:
    return page if any("answer_id" in fields for _, fields in page.forms) else None


def answer(person: Visitor, page: Page, value: str) -> Page:
    url, fields = page.form("answer_id")
    return person.post(url, {**fields, "value": value}, referer=page.url)


@pytest.mark.slow
def test_the_page_shows_the_card_of_its_type_of_prompt(person: Visitor) -> None:
    page = asked(person, "card")
    assert "How was the bicycle?" in page.text
    assert '<button name="value" value="5">5 ★</button>' in page.text
    refusal = answer(person, page, "9")
    assert (refusal.status, "Give one to five stars." in refusal.text) == (422, True)
    answer(person, page, "4")
    second = until(lambda: with_card(person.get(page.url)))
    assert "★★★★" in second.text
    answer(person, second, "5")
    until(lambda: "9 stars of 10" in person.get(page.url).text)


def test_the_socket_runs_a_workflow_of_its_source(person: Visitor) -> None:
    page = person.get(f"{HOME}/c/c1/")
    url = f"ws{person.base.removeprefix('http')}{page.attributes['data-socket']}"

    async def converse() -> str:
        headers = {"Cookie": person.cookie_header}
        async with WsClient(
            person.site,  # type: ignore[arg-type] # it needs the port only
            "c1",
            url=url,
            user=None,
            origin=person.base,
            headers=headers,
            workflow="tour",
        ) as socket:
            prompt = await socket.message_until_prompt("Hello")
            assert prompt["content"]["input_type"] == "shop_stars"
            await socket.answer("3", prompt)
            await socket.answer("4", await socket.until("system_interaction_message"))
            await socket.until_ended("completed")
            return socket.text()

    assert asyncio.run(converse()) == "7 stars of 10"


@pytest.mark.slow
def test_its_channel_tells_who_may_answer_and_operators_see_that(person: Visitor) -> None:
    asked(person, "told")
    printer = person.site.data / "printer"
    until(lambda: "ann: How was the bicycle?\n" in printer.read_text())
    notices = "/admin/sessions_app/pendingsignal/"
    until(lambda: "slip for ann" in person.get(f"{notices}?kind=slip&state=sent").text)
    assert "mail to ann" not in person.get(f"{notices}?kind=slip").text
    assert "mail to ann" in person.get(f"{notices}?kind=mail").text
    assert " for ann" not in person.get(f"{notices}?state=failing").text


def test_its_guard_limits_forks(person: Visitor) -> None:
    said = {"input_message": "Hello"}
    status, asked_over_http = person.program("POST", f"{HOME}/generate?workflow=tour", said)
    assert status == 202
    fork = f"{asked_over_http['status_url']}/fork"
    status, refusal = person.program("POST", fork, {"position": 2})
    assert (status, "from the positions 1 to 1" in json.dumps(refusal)) == (422, True)


@pytest.mark.parametrize("page", ["settings/", "c/c0/"])
def test_its_page_is_linked(person: Visitor, page: str) -> None:
    [link] = re.findall(r'href="([^"]*)"\s*>Opening hours<', person.get(f"{HOME}/{page}").text)
    assert link == f"{HOME}/hours/"
    assert "From nine to five." in person.get(link).text


@pytest.mark.beyond("doctor makes the checks of an application of another project")
@pytest.mark.slow
def test_doctor_makes_its_checks(site: Site) -> None:
    process = run("-m", "django", "doctor", "--json", env=environment(LINE, site.data))
    findings = json.loads(process.stdout[process.stdout.index("{") :])["findings"]
    [text] = [one["text"] for one in findings if one["check"] == "applications"]
    assert re.fullmatch(r"shop\.I001: \d+ slips wait", text)
    without = LINE.settings.replace('"printer"', '"gone"')
    process = run("-m", "django", "doctor", env=environment(Line("", without), site.data))
    assert "! applications: shop.W001: there is no printer. Set PRINTER" in process.stdout


def test_the_document_has_its_code() -> None:
    document = (ROOT / "docs/extending.md").read_text()
    blocks = dict(re.findall(r"^`shop/(\S+)`:\n\n```\w+\n(.*?)^```", document, re.M | re.S))
    code = {name: (SHOP / name).read_text() for name in blocks}
    assert blocks
    assert blocks == {
        name: text.replace("tests.extending.shop", "shop") for name, text in code.items()
    }
