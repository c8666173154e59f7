"""Who is in which group on a test's server."""

from collections.abc import Sequence

from tests.support.server import Server

MANAGERS = ("ben", "user0")


def make_group(server: Server, name: str = "managers", people: Sequence[str] = MANAGERS) -> None:
    """Make a group of these users, with the hand of an administrator."""
    server.execute("INSERT INTO auth_group (name) VALUES (?)", name)
    for person in people:
        server.execute(
            "INSERT INTO auth_user_groups (user_id, group_id) SELECT u.id, g.id"
            " FROM auth_user u, auth_group g WHERE u.username = ? AND g.name = ?",
            person,
            name,
        )


def leave_groups(server: Server, person: str) -> None:
    """Take a user out of all groups."""
    server.execute(
        "DELETE FROM auth_user_groups WHERE user_id ="
        " (SELECT id FROM auth_user WHERE username = ?)",
        person,
    )
