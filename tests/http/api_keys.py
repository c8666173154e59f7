"""API keys, made in the admin as people do."""

import re
from urllib.parse import urlencode

from tests.http.client import Http
from tests.support.server import Server


def make_key(server: Server, user: str) -> str:
    page = Http(server, "admin", workflow=None).post(
        "/admin/chat_app/apikey/add/",
        urlencode({"user": user, "name": "tests"}),
        content_type="application/x-www-form-urlencoded",
    )
    key = re.search(r"nak_[\w-]+", page.text)
    assert key is not None, page.text
    return key.group()
