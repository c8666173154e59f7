"""The people at a door with their credentials, on a server where `ann` has a secret."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.http.api_keys import make_key
from tests.http.client import CSRF, Http, Json
from tests.support.server import Server

# What ann has said, and what she was asked: nobody else may ever be sent it.
SECRET = "PLUM-7431"
JOB = "a-job-of-anns"
CONVERSATION = "hers"
# Staff by the permissions that they have.
STAFF = {"user0": None, "user1": "view_%", "user2": "change_%"}
SIGNED_IN = (
    *("owner", "other", "superuser", "staff", "viewer", "operator"),
    *("deactivated", "signed out"),
)
USERS_OF_THEM = ("ann", "ben", "admin", "user0", "user1", "user2", "user3", "user4")
GUEST = "a-guest-without-any-account"
# What ann has; an event or an answer more would show.
HERS = """
    SELECT r.id, r.status, r.stop_requested_at, i.status AS asked, c.last_sequence,
           (SELECT count(*) FROM sessions_app_event e WHERE e.conversation_id = c.id) AS events,
           (SELECT count(*) FROM sessions_app_journalentry j WHERE j.run_id = r.id) AS journal
    FROM sessions_app_conversation c JOIN auth_user u ON u.id = c.owner_id
    JOIN sessions_app_run r ON r.conversation_id = c.id
    LEFT JOIN sessions_app_interaction i ON i.run_id = r.id
    WHERE u.username = 'ann' AND c.conversation_id = 'hers' ORDER BY r.created_at
"""
TEXT_ROW = """
    SELECT run_id, first_sequence FROM sessions_app_event
    WHERE type IN ('text', 'message') ORDER BY sequence
"""
PERMIT = """
    INSERT INTO auth_user_user_permissions (user_id, permission_id)
    SELECT u.id, p.id FROM auth_user u, auth_permission p
    JOIN django_content_type t ON t.id = p.content_type_id
    WHERE u.username = ? AND t.app_label IN ('sessions_app', 'chat_app') AND p.codename LIKE ?
"""


@dataclass(frozen=True)
class Scene:
    """The server, what ann has: a prompt and a text; and everybody's headers by name."""

    server: Server
    stop: Json
    file: str
    text_row: Json
    people: dict[str, dict[str, str]]

    @property
    def names(self) -> dict[str, str]:
        """Return what addresses take, all of it ann's."""
        return {
            "model": "probe",
            "conversation_id": CONVERSATION,
            "interaction": self.stop["interaction_id"],
            "interaction_id": self.stop["interaction_id"],
            "execution_id": self.stop["execution_id"],
            "job_id": JOB,
            "file": self.file,
            "app_label": "sessions_app",
            "form": "json",
            "provider": "notes",
            "run": str(UUID(str(self.text_row["run_id"]))),
            "first": str(self.text_row["first_sequence"]),
        }

    def http(self, person: str) -> Http:
        return Http(self.server, None, headers=self.people[person])

    def hers(self) -> list[dict[str, Any]]:
        return self.server.rows(HERS)


def set_the_scene(server: Server) -> Scene:
    """Give ann something to protect, and everybody else what they come with."""
    ann = Http(server)
    file = _upload(ann)
    ann.post("/generate", {"input_message": f'echo("{SECRET}")'}, conversation_id=CONVERSATION)
    request_body = {"input_message": f"ask()  # {SECRET}"}
    ids = {"conversation_id": CONVERSATION, "user_message_id": JOB}
    stop = ann.post("/generate", request_body, **ids).json()
    for user, permissions in STAFF.items():
        server.execute("UPDATE auth_user SET is_staff = true WHERE username = ?", user)
        if permissions is not None:
            server.execute(PERMIT, user, permissions)
    keys = {user: make_key(server, user) for user in ("ann", "ben", "user3")}
    signed_in = dict(zip(SIGNED_IN, USERS_OF_THEM, strict=True))
    people = {person_name: _session(server, user) for person_name, user in signed_in.items()}
    no_session = {"cookie": f"csrftoken={CSRF}", "x-csrftoken": CSRF}
    people |= {f"key of {user}": {**no_session, "x-api-key": key} for user, key in keys.items()}
    guest = {**no_session, "cookie": f"nat-session={GUEST}; csrftoken={CSRF}"}
    people |= {"nobody": no_session, "guest": guest}
    server.execute("UPDATE auth_user SET is_active = false WHERE username = 'user3'")
    server.execute("DELETE FROM django_session WHERE session_key = ?", server.cookies["user4"])
    text_row, *_ = server.rows(TEXT_ROW)
    return Scene(server, stop, file, text_row, people)


def _upload(ann: Http) -> str:
    """Return a file with the secret, sent with a message; its id."""
    path = f"/c/{CONVERSATION}"
    answer = ann.multipart(f"{path}/files/", {"file": ("a.txt", SECRET)})
    id_ = str(answer.json()["id"])
    ann.form(
        f"{path}/messages/", {"text": f'echo("{SECRET}")', "workflow": "probe", "file_ids": id_}
    )
    return id_


def _session(server: Server, user: str) -> dict[str, str]:
    cookie = f"sessionid={server.cookies[user]}; csrftoken={CSRF}"
    return {"cookie": cookie, "x-csrftoken": CSRF}
