"""A project that installs none of the optional applications has nothing of them."""

import json
from pathlib import Path

import pytest

from natproject.settings.env import ROOT
from tests.support.host_site.lines import Line
from tests.support.host_site.site import environment
from tests.support.processes.command import run

pytestmark = pytest.mark.formless
NONE = """
INSTALLED_APPS.remove("chat_app.contrib.notifications")
INSTALLED_APPS.remove("sessions_app.contrib.operations")
HITL = {}
"""
OPTIONAL = ("chat_app.contrib", "sessions_app.contrib")
NAMES = ["MAIL", "WEBHOOK_URL", "WEBHOOK_SECRET", "OAUTH_PROVIDERS", "RATE_CONSENTS_USER"]
PROGRAM = """
import json, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from sessions_app.settings import check

def refusal(name):
    with override_settings(HITL={name: None}):
        try:
            check()
        except ImproperlyConfigured as error:
            return str(error)

call_command("migrate", verbosity=0)
client = Client()
client.force_login(get_user_model().objects.create_user("ann"))
pages = ("accounts/", "mail/", "")
answers = {page: client.get(f"/assistant/settings/{page}") for page in pages}
print(json.dumps({
    "statuses": [answer.status_code for answer in answers.values()],
    "page": answers[""].content.decode(),
    "refusals": [refusal(name) for name in sys.argv[1:]],
    "tables": connection.introspection.table_names(),
    "modules": [name for name in sys.modules if name.startswith(("chat_app.", "sessions_app."))],
}))
"""


@pytest.mark.slow
def test_a_project_without_them_has_nothing_of_them(tmp_path: Path) -> None:
    process = run("-c", PROGRAM, *NAMES, env=environment(Line("", NONE), tmp_path))
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["statuses"] == [404, 404, 200]
    assert "Inbox" in result["page"]
    assert "E-mail about questions" not in result["page"]
    assert "Connected accounts" not in result["page"]
    for name, refusal in zip(NAMES, result["refusals"], strict=True):
        assert refusal.startswith(f"HITL has no setting '{name}'.")
    assert "chat_app_apikey" in result["tables"]
    assert [name for name in result["tables"] if name.startswith("hitl_")] == []
    assert "chat_app.urls" in result["modules"]
    assert [name for name in result["modules"] if name.startswith(OPTIONAL)] == []


def test_the_runtime_does_not_name_the_chat_in_a_string_either() -> None:
    files = [*(ROOT / "sessions_app").rglob("*.py"), *(ROOT / "sessions_app").rglob("*.html")]
    texts = {str(file): file.read_text() for file in files}
    assert len(texts) > 200
    assert [name for name, text in texts.items() if "chat_app" in text or '"chat:' in text] == []
