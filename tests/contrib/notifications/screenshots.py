"""The pages about e-mail, drawn as `make screenshots` draws all."""

from typing import Any

import pytest

from chat_app.contrib.notifications.mail_views import MailForm
from tests.browser.screenshots import draw_templates
from tests.support.browser import Console, OpenPage

pytestmark = pytest.mark.timeout(900)


def test_draw_mail(open_page: OpenPage, console: Console) -> None:
    console.allow("404")
    settings = "hitl_notifications/settings.html"
    unsubscribe = "hitl_notifications/unsubscribe.html"
    templates: dict[str, tuple[str, dict[str, Any]]] = {
        "mail": (settings, {"form": MailForm(label_suffix="")}),
        "mail-wrong": (settings, {"form": MailForm({"quiet_from": "22:00"})}),
        "unsubscribe": (unsubscribe, {}),
        "unsubscribed": (unsubscribe, {"done": True}),
    }
    draw_templates(open_page(None), templates)
