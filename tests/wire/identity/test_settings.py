"""Tests of what is wrong with the settings of identities is said at start, in a sentence."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from chat_app.settings import ChatSettings
from tests.support.processes.command import run
from tests.support.server import environment
from tests.wire.identity.tokens import SECRET

PEM = "-----BEGIN PUBLIC KEY-----\\nMFkw\\n-----END PUBLIC KEY-----"
URL = "https://issuer.example/keys"
BOTH = ["RS256", "HS256"]


@pytest.mark.parametrize(
    ("hitl_settings", "says"),
    [
        ({"JWT_KEY": SECRET, "JWT_ALGORITHMS": ["HS256"]}, "JWT_AUDIENCE is missing"),
        ({"JWT_JWKS_URL": URL}, "JWT_AUDIENCE is missing"),
        ({"JWT_KEY": SECRET, "JWT_AUDIENCE": ["a"]}, "not a PEM public key"),
        ({"JWT_AUDIENCE": ["a"]}, "JWT_KEY or JWT_JWKS_URL is missing"),
        ({"JWT_CREATE_USERS": True}, "JWT_KEY or JWT_JWKS_URL is missing"),
        ({"JWT_KEY": PEM, "JWT_JWKS_URL": URL, "JWT_AUDIENCE": ["a"]}, "both set"),
        ({"JWT_KEY": "s", "JWT_AUDIENCE": ["a"], "JWT_ALGORITHMS": ["HS256"]}, "too short"),
        ({"JWT_KEY": PEM, "JWT_AUDIENCE": ["a"], "JWT_ALGORITHMS": ["HS256"]}, "could sign"),
        ({"JWT_JWKS_URL": URL, "JWT_AUDIENCE": ["a"], "JWT_ALGORITHMS": BOTH}, "anybody"),
        ({"JWT_ALGORITHMS": ["none"]}, "none is not offered"),
        ({"JWT_JWKS_URL": "issuer.example"}, "must begin with http"),
        ({"ALLOWED_ORIGINS": ["ui.example"]}, "must begin with http"),
        ({"IMAGE_ORIGINS": ["https://img.example/a"]}, "is not an origin"),
        ({"IMAGE_ORIGINS": ["*"]}, "is not an origin"),
        ({"GUESTS": "maybe"}, "true or false"),
    ],
)
def test_missing_and_wrong_settings_are_named(
    settings: Settings, hitl_settings: dict[str, Any], says: str
) -> None:
    settings.HITL = hitl_settings
    with pytest.raises(ImproperlyConfigured, match=says) as error_info:
        ChatSettings.load()
    assert SECRET not in str(error_info.value)


@pytest.mark.slow
def test_a_key_may_stand_in_one_line(tmp_path: Path) -> None:
    code = (
        "from django.conf import settings; print(settings.HITL['JWT_KEY'], settings.HITL['GUESTS'])"
    )
    env = environment(tmp_path, JWT_KEY=PEM, JWT_AUDIENCE="a", GUESTS="true")
    process = run("-c", code, env=env)
    assert process.stdout == PEM.replace("\\n", "\n") + " True\n"
