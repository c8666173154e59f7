"""Tests of mails to those whom a project's own authentication backend permits to answer."""

from typing import Any

import pytest
from django.core import mail

from chat_app.contrib.notifications import notices
from sessions_app.storage import reads
from sessions_app.workflows import permission
from tests.contrib.notifications.test_mail import time_passes
from tests.inbox.test_own_backend import ByName, person, use
from tests.runtime.assignment.asking import asks
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)


async def test_mails_go_to_whom_the_backend_permits_and_who_is_active(settings: Any) -> None:
    use(settings, ByName)
    set_hitl(settings, MAIL="now", PUBLIC_URL="https://chat.example.org")
    notices.connect()
    asks(to=permission("leave.approve"))
    async with Hosting("t_assigned") as hosting:
        await reads.read(person, "chief")
        await reads.read(lambda: person("chief2", active=False))
        await reads.read(person, "other")
        await hosting.submit_until_prompt()
        await time_passes()
        assert [one.to for one in mail.outbox] == [["chief@example.org"]]
