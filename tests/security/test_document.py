"""docs/security.md names each door of the code."""

import pytest
from django.core.management import get_commands

from chat_app.wire.client_messages import MESSAGES
from tests.security import doors

pytestmark = pytest.mark.formless


def test_each_address_is_in_the_table() -> None:
    code = {path for path in doors.addresses() if not doors.OF_A_MODEL.match(path)}
    assert {door.path for door in doors.documented_doors()} == code


OURS = {"natproject", "chat_app", "sessions_app"}


@pytest.mark.parametrize(
    ("heading", "code"),
    [
        ("What each socket message reaches", [*MESSAGES]),
        (
            "Commands of the product",
            [one for one, app in get_commands().items() if app.split(".")[0] in OURS],
        ),
    ],
)
def test_each_message_of_the_socket_and_each_command_is_in_its_table(
    heading: str, code: list[str]
) -> None:
    rows = doors.table(heading)
    assert sorted(name for row in rows for name in doors.names_in_backticks(row[0])) == sorted(code)


def test_each_page_of_the_admin_is_in_the_table() -> None:
    for row, pages in zip(
        sorted(doors.table("Permissions in the admin")),
        sorted(doors.model_admins(), key=lambda pages: pages.model.__name__),
        strict=True,
    ):
        actions = row[2].partition(":")[0].split(", ") if row[2] != "–" else []
        assert (row[0], actions) == (pages.model.__name__, list(pages.actions))
