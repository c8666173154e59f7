"""The settings of the applications, `HITL`: none are needed, and a wrong one is told in words."""

import asyncio
import tempfile
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from chat_app.application import WithSocket
from chat_app.settings import ChatSettings
from sessions_app.lifecycle import requirements, start_checks
from sessions_app.settings import RuntimeSettings, check
from tests import settings_page
from tests.support.hitl import set_hitl

pytestmark = pytest.mark.formless
REDIS = {"REDIS_URL": "redis://127.0.0.1:6379/0"}


def test_no_settings_are_needed(settings: Settings) -> None:
    del settings.HITL
    check()
    assert not RuntimeSettings.load().cluster
    assert ChatSettings.load().BASE_TEMPLATE == "chat_app/base.html"


def test_the_document_has_them_all_as_the_code_describes_them() -> None:
    text = settings_page.PAGE.read_text(encoding="utf-8")
    assert text == settings_page.page(), "Run: python -m tests.settings_page"


@pytest.mark.parametrize(
    ("hitl", "says"),
    [
        (["PARK_AFTER"], 'HITL must be a dict, such as HITL = {"PARK_AFTER": 60}.'),
        ({"PARK": 1}, "HITL has no setting 'PARK'. There are: ALLOWED_ORIGINS, "),
        ({"PARK_AFTER": "soon"}, "HITL: PARK_AFTER=soon cannot be used (Input should be a valid"),
        ({"PARK_AFTER": -1}, "Write seconds, 0 or more, after which a waiting run leaves memory."),
        ({"GUESTS": "perhaps"}, "Write true or false."),
        ({"ALLOWED_ORIGINS": ["ui.example"]}, "ui.example must begin with http://"),
        ({"REDIS_URL": "http://:hush@x"}, "HITL: REDIS_URL cannot be used (it must begin"),
        ({"BRAND": {"accent": "red"}}, 'Write a dict such as {"name": "Acme", '),
        ({"JWT_ISSUER": "https://i"}, "JWT_KEY or JWT_JWKS_URL is missing"),
    ],
)
def test_a_wrong_setting_is_reported_in_a_sentence(
    settings: Settings, hitl: Any, says: str
) -> None:
    settings.HITL = hitl
    with pytest.raises(ImproperlyConfigured) as error_info:
        check()
    assert says in str(error_info.value)
    assert "hush" not in str(error_info.value)


@pytest.mark.parametrize(
    ("vendor", "says"),
    [
        ("sqlite", "these need PostgreSQL. Write DATABASES = "),
        ("postgresql", "need 'procrastinate.contrib.django'. Put it into INSTALLED_APPS"),
    ],
)
def test_redis_alone_makes_no_cluster(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, vendor: str, says: str
) -> None:
    set_hitl(settings, **REDIS)
    monkeypatch.setattr(
        requirements, "connection", SimpleNamespace(vendor=vendor, settings_dict={})
    )
    with pytest.raises(ImproperlyConfigured, match=says):
        start_checks.check_start()


def test_a_server_does_not_start_without_time_zones(settings: Settings) -> None:
    settings.USE_TZ = False
    with pytest.raises(ImproperlyConfigured, match="Set USE_TZ = True"):
        start_checks.check_start()


def test_a_place_for_larger_uploads_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django and the pages keep in temporary files what is larger than a few megabytes."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    [problem] = requirements.check_project()
    assert problem.id == "sessions_app.W107"
    assert "TMPDIR" in str(problem.hint)


async def answer_of(application: Any, path: str) -> Any:
    """Return what a handshake at the path gets first."""
    scope: Any = {"type": "websocket", "path": path, "headers": [], "query_string": b""}
    frames: asyncio.Queue[Any] = asyncio.Queue()
    frames.put_nowait({"type": "websocket.connect"})
    answers: asyncio.Queue[Any] = asyncio.Queue()
    served = asyncio.ensure_future(application(scope, frames.get, answers.put))
    answer = await answers.get()
    served.cancel()
    await asyncio.wait([served])
    return answer


async def other_sockets(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept", "subprotocol": "other"})


@pytest.mark.parametrize("path", ["/", "/websocket/", "/other", "/c/websocket", "/health"])
async def test_a_socket_elsewhere_is_refused_or_the_applications_own(path: str) -> None:
    plain: Any = get_asgi_application()
    assert (await answer_of(WithSocket(plain), path))["type"] == "websocket.close"
    assert (await answer_of(WithSocket(other_sockets), path))["subprotocol"] == "other"


@pytest.mark.django_db(transaction=True)
async def test_the_socket_is_where_the_urls_have_it(settings: Settings) -> None:
    """The socket lets a client in, who then has to say who it is."""
    assert (await answer_of(WithSocket(other_sockets), "/websocket")) == {
        "type": "websocket.accept"
    }
    settings.ROOT_URLCONF = "tests.support.host_project.prefixed_urls"
    answer = await answer_of(WithSocket(other_sockets), "/assistant/websocket")
    assert answer == {"type": "websocket.accept"}
    assert (await answer_of(WithSocket(other_sockets), "/websocket"))["subprotocol"] == "other"
