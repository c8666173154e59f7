"""A matrix of settings of projects: all of the chat works with each, or a check refuses it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.models import User

from sessions_app import routers
from sessions_app.models import Conversation
from tests.support.host_site import table
from tests.support.host_site.lines import LINES, PACKAGE, SET_USER, Line, text
from tests.support.host_site.site import Ended, Site, prepare, serve
from tests.support.host_site.visitor import Page, Visitor, converse
from tests.support.polling import until
from tests.support.websocket import WsClient

CONVERSATION = "c1"


def test_the_document_has_the_lines() -> None:
    assert table.table() in table.PAGE.read_text(encoding="utf-8"), (
        "run: python -m tests.support.host_site.table"
    )


Served = Callable[[Line], AbstractContextManager[Site]]


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Return a function that serves a project, with a copy of a database with its tables."""
    # By the settings that change the tables: a directory, and the key of a program.
    templates: dict[str, tuple[Path, str]] = {}

    def serving(line: Line) -> AbstractContextManager[Site]:
        own = line if line.own_tables else Line("")
        if own.settings not in templates:
            template = tmp_path_factory.mktemp("template")
            templates[own.settings] = template, prepare(own, template)
        return serve(line, *templates[own.settings], tmp_path_factory.mktemp("host"))

    return serving


UNUSUAL = pytest.mark.beyond("the package works in projects with unusual settings")


def lines() -> list[object]:
    return [
        pytest.param(line, id=line.name, marks=() if line.always else UNUSUAL) for line in LINES
    ]


@pytest.mark.parametrize("line", lines())
def test_a_project_with(line: Line, serving: Served) -> None:
    if line.refused:
        with pytest.raises(Ended, match=line.refused), serving(line):
            pass
        return
    with serving(line) as site:
        try:
            everything_works(site)
        except Exception as error:
            error.add_note(site.log[-4000:])
            raise
        assert "WARNINGS" not in site.log
        assert "Traceback" not in site.log


@pytest.mark.slow
def test_a_server_that_tells_of_no_start_is_named(
    serving: Served,
) -> None:
    line = Line("", server="uvicorn", options=("--lifespan", "off"))
    with serving(line) as site:
        for _ in range(2):
            status, answer = Visitor(site).program("GET", "/assistant/health", key=False)
            assert (status, answer["status"]) == (503, "unavailable")
            assert "--lifespan off" in answer["reason"]
        assert site.log.count("No run goes on here") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        Line("", prefix="/sub", options=("--root-path=/sub",)),
        Line("", prefix="/sub", server="uvicorn", options=("--root-path", "/sub")),
    ],
    ids=["daphne", "uvicorn"],
)
def test_a_path_that_links_lack_is_named(line: Line, serving: Served) -> None:
    lacking = replace(line, settings='HITL["PUBLIC_URL"] = "https://site.example"')
    with serving(lacking) as site:
        for _ in range(2):
            status, answer = Visitor(site).program("GET", "/sub/assistant/health", key=False)
            assert status == 503
            assert answer["reason"].endswith("Set PUBLIC_URL to https://site.example/sub.")
        assert site.log.count("Set PUBLIC_URL to https://site.example/sub.") == 1


@pytest.mark.slow
def test_a_page_is_of_the_user_whom_a_middleware_sets(serving: Served) -> None:
    with serving(Line("", SET_USER)) as site:
        ann, home = Visitor(site), f"/assistant/c/{CONVERSATION}/"
        own_page = ann.sign_in(home)
        as_ben = Visitor(site)
        as_ben.cookies = {**ann.cookies, "sso": "ben"}
        page = as_ben.get(home)
        assert (own_page.attributes["data-user"], page.attributes["data-user"]) == ("ann", "ben")
        url, fields = page.form("message_id")
        sent = {**fields, "text": "Hello of Ben", "workflow": "greeting"}
        as_ben.post(url, sent, referer=page.url)
        for path in (home, "/assistant/inbox/", "/assistant/v1/inbox"):
            until(lambda path=path: "What is your name?" in as_ben.get(path).text)  # type: ignore[misc] # mypy knows no such default
            assert "What is your name?" not in ann.get(path).text
        # The socket has the session alone, and so refuses the page of another person.
        refusal = asyncio.run(refused_socket(as_ben, page))
        assert refusal["details"] == '{"signed_in_as":"ann"}'
        # Once the middleware sets the user no more, the page is refused, too.
        refused = ann.post(url, {**sent, "message_id": "m2"}, referer=page.url)
        assert refused.status == 409
        assert "Hello of Ben" not in ann.get(home).text


def test_a_router_of_the_project_decides_where_its_own_rows_are_read() -> None:
    ours = [one for one in apps.get_app_configs() if one.name.startswith(("sessions_app", "chat_"))]
    assert set(routers.applications()) == {one for one in ours if list(one.get_models())}
    router = routers.PrimaryRouter()
    assert {router.db_for_read(model) for one in ours for model in one.get_models()} == {"default"}
    assert router.db_for_read(User) is None
    # A user who was created with the conversation is read with it.
    assert router.db_for_read(User, instance=Conversation()) == "default"


async def refused_socket(visitor: Visitor, page: Page) -> dict[str, Any]:
    """Open the page's socket, which is refused; return the content of the refusal."""
    async with WsClient(
        cast(Any, visitor.site),
        CONVERSATION,
        url=f"ws://{urlsplit(visitor.base).netloc}{page.attributes['data-socket']}",
        user=None,
        origin=visitor.base,
        headers={"Cookie": visitor.cookie_header},
        **{"for": page.attributes["data-person"]},
    ) as socket:
        refusal = await socket.until("error_message")
        assert await socket.until_closed() == 4401
        content: dict[str, Any] = refusal["content"]
        return content


GERMAN = 'LANGUAGE_CODE = "de"'
CLAIMS = f"{PACKAGE}.claims"
ADMIN_LAST = (
    'INSTALLED_APPS.append(INSTALLED_APPS.pop(INSTALLED_APPS.index("django.contrib.admin")))'
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "new"),
    [
        # Django prefers the words of the application that stands first, here the chat.
        (text(GERMAN, ADMIN_LAST, f"INSTALLED_APPS.append('{CLAIMS}')"), "Neues Gespräch"),
        # Django prefers these words to all others.
        (text(GERMAN, 'LOCALE_PATHS = [HERE / "claims" / "locale"]'), "Neuer Fall"),
    ],
    ids=["INSTALLED_APPS", "LOCALE_PATHS"],
)
def test_labels_of_the_project_and_of_the_chat_do_not_change_each_other(
    settings: str, new: str, serving: Served
) -> None:
    with serving(Line("", settings)) as site:
        person = Visitor(site)
        chat = person.sign_in("/assistant/c/").text
        assert ("Gespräche" in chat, "Unterhaltungen" in chat) == (True, False)
        assert {word for word in ("Neues Gespräch", "Neuer Fall") if word in chat} == {new}
        assert ("Senden" in chat, "Versand" in chat) == (True, False)
        look = person.get("/assistant/settings/").text
        assert ("Speichern" in look, "Sichern" in look) == (True, False)
        of_project = json.loads(person.get("/words/").text)
        assert of_project == {
            "Answer": "Antwort (Quiz)",
            "Conversations": "Unterhaltungen",
            "Send": "Versand",
        }
        assert 'value="Sichern"' in person.get("/admin/auth/group/add/").text


def everything_works(site: Site) -> None:
    person = Visitor(site)
    home = f"{site.line.prefix}{site.line.mount}"
    page = person.sign_in(f"{home}/c/{CONVERSATION}/")
    assert page.status == 200, page.text[:1000]
    assert page.url.endswith(f"{home}/c/{CONVERSATION}/")
    if site.line.serves_static:
        assert person.get(page.scripts[0]).status == 200, page.scripts
    answered = asyncio.run(converse(person, page.attributes["data-socket"], CONVERSATION))
    assert answered == "Hello, Ann!"
    conversing_by_forms(person, home)
    asking_as_a_program(person, home)
    looking_as_an_operator(person)


def conversing_by_forms(person: Visitor, home: str) -> None:
    page = person.get(f"{home}/c/by-forms/")
    url, fields = page.form("message_id")
    sent = {**fields, "text": "Good evening", "workflow": "greeting"}
    person.post(url, sent, referer=page.url)
    page = until(lambda: _with_form(person.get(page.url), "answer_id"))
    url, fields = page.form("answer_id")
    person.post(url, {**fields, "value": "Ben"}, referer=page.url)
    until(lambda: "Hello, Ben!" in person.get(page.url).text)


def _with_form(page: Page, field: str) -> Page | None:
    assert page.status == 200, page.text[:1000]
    return page if any(field in fields for _, fields in page.forms) else None


def asking_as_a_program(person: Visitor, home: str) -> None:
    for path in ("live", "health"):
        assert person.program("GET", f"{home}/{path}", key=False) == (200, {"status": "ok"})
    said = {"input_message": "Hello"}
    status, answer = person.program("POST", f"{home}/generate?workflow=echo", said)
    assert (status, answer) == (200, {"value": "Hello"})
    status, prompt = person.program("POST", f"{home}/generate?workflow=greeting", said)
    assert status == 202, prompt
    for name in ("status_url", "response_url"):
        assert prompt[name].startswith(f"{home}/"), prompt
    status, inbox = person.program("GET", f"{home}/v1/inbox")
    assert status == 200, inbox
    assert inbox["prompts"][0]["response_url"].startswith(f"{home}/"), inbox
    assert person.program("GET", prompt["status_url"])[0] == 200
    # Nobody's key opens nothing, and leads nowhere.
    assert person.program("GET", f"{home}/v1/inbox", key=False)[0] == 401
    assert person.program("GET", f"{home}/unsubscribe/forged/", key=False)[0] == 404


def looking_as_an_operator(person: Visitor) -> None:
    admin = f"{person.site.line.prefix}{person.site.line.admin}"
    for name in ("sessions_app/run/", "sessions_app/interaction/", "chat_app/apikey/"):
        assert person.get(f"{admin}/{name}").status == 200
    # The question of the program above waits, and its mail does: an operator has it sent.
    page = person.get(f"{admin}/sessions_app/pendingsignal/")
    url, fields = page.form("_selected_action")
    fields |= {"action": "send_again"}
    page = person.post(url, fields, referer=page.url)
    assert page.status == 200, page.text[:1000]
    mail = until(lambda: person.site.mails)
    line = person.site.line
    home = f"https://site.example{line.prefix}{line.mailed_mount or line.mount}"
    assert f"{home}/p/" in mail
    assert f"{home}/unsubscribe/" in mail
