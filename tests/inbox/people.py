"""The people of a test's server: their groups, and what ann asks them."""

from collections.abc import Sequence
from typing import Any

from tests.http.client import Http
from tests.support.polling import until
from tests.support.server import Server

MANAGERS = ("ben", "user0")


def make_group(server: Server, name: str = "managers", people: Sequence[str] = MANAGERS) -> None:
    server.execute("INSERT INTO auth_group (name) VALUES (?)", name)
    for person in people:
        server.execute(
            "INSERT INTO auth_user_groups (user_id, group_id) SELECT u.id, g.id"
            " FROM auth_user u, auth_group g WHERE u.username = ? AND g.name = ?",
            person,
            name,
        )


def name_user(server: Server, person: str, *names: str) -> None:
    statement = "UPDATE auth_user SET first_name = ?, last_name = ? WHERE username = ?"
    server.execute(statement, *names, person)


def leave_groups(server: Server, person: str) -> None:
    server.execute(
        "DELETE FROM auth_user_groups WHERE user_id ="
        " (SELECT id FROM auth_user WHERE username = ?)",
        person,
    )


def inbox_of(server: Server, user: str, query: str = "") -> list[dict[str, Any]]:
    response = Http(server, user).get(f"/v1/inbox{query}")
    assert response.status == 200, response.text
    prompts: list[dict[str, Any]] = response.json()["prompts"]
    return prompts


def send_question(server: Server, options: str = "", name: str = "kept") -> None:
    text = f'ask_others(to="managers"{options and f", {options}"})'
    message = {"text": text, "workflow": "probe"}
    assert Http(server).form(f"/c/{name}/messages/", message).status == 303


def ask_managers(server: Server, options: str = "", name: str = "kept") -> dict[str, Any]:
    """Have ann ask the managers in a conversation; return the prompt as ben's inbox has it."""
    known_ids = [prompt["interaction_id"] for prompt in inbox_of(server, "ben")]
    send_question(server, options, name)

    def asked() -> list[dict[str, Any]]:
        waiting = inbox_of(server, "ben")
        return [prompt for prompt in waiting if prompt["interaction_id"] not in known_ids]

    return until(asked)[0]
