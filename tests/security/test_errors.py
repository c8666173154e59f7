"""Errors that nobody has foreseen: people get a sentence, and the log gets the traceback."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.formless


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/inbox/", "chat_app.page.inbox.inbox_views.read_inbox"),
        ("/v1/inbox", "chat_app.api.inbox.read_inbox"),
    ],
)
def test_an_unexpected_error_shows_no_internals_and_is_logged(
    path: str, function: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("internal secret")

    monkeypatch.setattr(function, fail)
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_user("ann"))
    response = client.get(path)
    assert response.status_code == 500
    for internal in ("secret", "RuntimeError", "Traceback"):
        assert internal not in response.content.decode()
    logged = [str(vars(record)) for record in caplog.records if record.levelname == "ERROR"]
    assert "RuntimeError('internal secret')" in "".join(logged)
