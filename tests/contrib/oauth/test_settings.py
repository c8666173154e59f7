"""The setting OAUTH_PROVIDERS, and the packages that it needs."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from chat_app.contrib.oauth.settings import OAuthSettings
from tests.support.hitl import set_hitl
from tests.support.processes.command import run
from tests.support.processes.environment import environment

pytestmark = pytest.mark.formless
SECRET = "PLUM-7431"
GOOD = {
    "title": "X",
    "client_id": "x",
    "client_secret": SECRET,
    "metadata_url": "https://x.example",
}
# Imports what a server imports, with or without Authlib, and says whether it is imported.
PROGRAM = """
import sys
{hide}
import natproject.asgi, django.urls, chat_app.contrib.oauth
django.urls.reverse("chat:accounts")
print([name for name in ("authlib", "httpx2") if sys.modules.get(name)])
"""
HIDE = "sys.modules['authlib'] = None"  # as if it were not installed


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"metadata_url": "http://x.example"}, "metadata_url.*must begin with https://"),
        ({"authorize_url": "javascript:alert(1)"}, "authorize_url"),
        ({"token_url": "https://a@x.example/"}, "token_url"),
        ({"metadata_url": ""}, "it needs metadata_url, or authorize_url and token_url"),
        ({"colour": "red"}, "colour"),
        ({"client_id": ""}, "client_id"),
    ],
)
def test_a_wrong_provider_is_named_without_its_secret(
    settings: Settings, changed: dict[str, Any], sentence: str
) -> None:
    offered = {"x": {**GOOD, **changed}}
    set_hitl(settings, PUBLIC_URL="https://me.example", OAUTH_PROVIDERS=offered)
    with pytest.raises(ImproperlyConfigured, match=f"OAUTH_PROVIDERS.x.*{sentence}") as error:
        OAuthSettings.load()
    assert SECRET not in str(error.value)


def test_people_must_be_sent_back_somewhere(settings: Settings) -> None:
    set_hitl(settings, PUBLIC_URL="", OAUTH_PROVIDERS={"x": GOOD})
    with pytest.raises(ImproperlyConfigured, match="PUBLIC_URL is missing"):
        OAuthSettings.load()


def test_this_machine_needs_no_https(settings: Settings) -> None:
    offered = {"x": {**GOOD, "metadata_url": "http://127.0.0.1:9/x"}}
    set_hitl(settings, PUBLIC_URL="https://me.example", OAUTH_PROVIDERS=offered)
    assert SECRET not in repr(OAuthSettings.load())


@pytest.mark.slow
def test_without_providers_its_packages_are_not_imported(tmp_path: Path) -> None:
    assert run("-c", PROGRAM.format(hide=""), env=environment(tmp_path)).stdout == "[]\n"


@pytest.mark.slow
def test_without_its_packages_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    assert run("-c", PROGRAM.format(hide=HIDE), env=environment(tmp_path)).stdout == "[]\n"
    offered = '{"x": {"title": "X", "client_id": "x", "metadata_url": "https://x.example"}}'
    wrong = run("-c", PROGRAM.format(hide=HIDE), env=environment(tmp_path, OAUTH_PROVIDERS=offered))
    assert "pip install 'django-durable-hitl[oauth]' is missing" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
    client = "import chat_app.contrib.oauth.client"
    wrong = run(
        "-c", f"import sys, django\ndjango.setup()\n{HIDE}\n{client}", env=environment(tmp_path)
    )
    assert "chat_app.contrib.oauth needs the packages Authlib and httpx2" in wrong.stderr
