"""The admin by Django's permissions: each page, button and action, for each kind of staff."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.models import ApiKey
from sessions_app.models import (
    Arrival,
    Attachment,
    AuditEntry,
    Event,
    Feedback,
    HostLease,
    Interaction,
    JournalEntry,
    PendingSignal,
    Run,
)
from sessions_app.prompts import TextPrompt
from tests.security import doors
from tests.support.database import operator_rows
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db

SECRET = "PLUM-7431"
ROLES = ("nobody", "staff", "view", "add", "change", "delete", "superuser")
# Whom each word of the document's table lets in.
MAY = {
    "–": set(),
    "view": {"view", "change", "superuser"},
    "add": {"add", "superuser"},
    "change": {"change", "superuser"},
    "delete": {"delete", "superuser"},
    "superuser": {"superuser"},
}
# Pages of a row with a form of their own, and what is given in it.
FORMS: dict[str, dict[str, dict[str, Any]]] = {
    "Interaction": {"answer": {"answer": "mine"}},
    "Run": {
        "fork": {"position": 1, "key": "mine"},
        "send": {"name": SECRET, "payload": "1", "key": "mine"},
    },
}


@pytest.fixture
def rows() -> dict[str, Model]:
    """Return a row of each model, with what ann has said in those of hers."""
    ann = User.objects.create_user("ann")
    log = StoredLog(ann, title=SECRET)
    run = log.message(SECRET)
    now = timezone.now()
    interaction = log.ask(run, TextPrompt(text=SECRET))
    entry = JournalEntry.objects.create(
        run=run, position=9, kind="wait", name=SECRET, sequence=9, started_at=now
    )
    lease = HostLease.objects.create(
        key=f"user:{SECRET}",
        generation=1,
        worker="w",
        workflow="probe",
        started_at=now,
        last_activity=now,
    )
    key = ApiKey.objects.create(user=ann, name=SECRET, prefix="p", salt="", digest="")
    grant = OAuthGrant.objects.create(
        user=ann, provider=SECRET, scopes=[SECRET], tokens=SECRET, created_at=now
    )
    return {
        "Conversation": log.conversation,
        "Run": run,
        "Interaction": interaction,
        "AuditEntry": AuditEntry.objects.create(
            interaction=interaction.pk,
            run=run.pk,
            workflow="probe",
            question=SECRET,
            action="opened",
            at=now,
        ),
        "Attachment": Attachment.objects.create(
            owner=ann,
            conversation_name="c",
            name=SECRET,
            size=1,
            run=run,
            created_at=timezone.now(),
        ),
        "Feedback": Feedback.objects.create(run=run, comment=SECRET, given_at=now),
        "Event": Event.objects.earliest("sequence"),
        "JournalEntry": entry,
        "HostLease": lease,
        "PendingSignal": PendingSignal.objects.create(
            name=PendingSignal.NOTICE,
            run=run,
            about={"webhook": "prompt.opened", "id": "1"},
            due_at=now,
            error=SECRET,
        ),
        "Process": operator_rows.process(SECRET, "web"),
        "ApiKey": key,
        "OAuthGrant": grant,
    }


def client_of(role: str, model: str) -> Client:
    """Return a signed-in client whose user has the role, for that model alone."""
    client = Client()
    if role == "nobody":
        return client
    user = User.objects.create_user(role, is_staff=True, is_superuser=role == "superuser")
    user.user_permissions.set(Permission.objects.filter(codename=f"{role}_{model.lower()}"))
    client.force_login(user)
    return client


def all_rows() -> list[Any]:
    models = (Run, Arrival, Interaction, HostLease, PendingSignal, ApiKey)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


@pytest.mark.slow
@pytest.mark.parametrize("row", doors.table("Permissions in the admin"), ids=lambda row: row[0])
def test_pages_and_actions_are_for_whom_the_document_says(
    rows: dict[str, Model], row: list[str]
) -> None:
    name, read, actions, add, delete = row
    model = type(rows[name])
    base = f"/admin/{model._meta.app_label}/{name.lower()}/"
    own = f"{base}{rows[name].pk}/"
    pages = {base: MAY[read], f"{own}change/": MAY[read], f"{own}history/": MAY[read]}
    pages |= {f"{base}add/": MAY[add], f"{own}delete/": MAY[delete]}
    pages |= {f"{own}{form}/": MAY["change"] for form in FORMS.get(name, {})}
    codes, _, needed = actions.partition(": ")
    wrong = []
    for role in ROLES:
        client = client_of(role, name)
        for page, roles in pages.items():
            answer = client.get(page)
            is_open = answer.status_code == 200
            if is_open != (role in roles) or (SECRET in answer.content.decode()) > is_open:
                wrong.append((role, page, answer.status_code))
        for action in codes.split(", ") if needed else ():
            offered = f'value="{action}"' in client.get(base).content.decode()
            if offered != (role in MAY[needed]):
                wrong.append((role, action, offered))
            if role not in MAY[needed]:
                before = all_rows()
                client.post(base, {"action": action, "_selected_action": rows[name].pk})
                for form, form_data in FORMS.get(name, {}).items():
                    client.post(f"{own}{form}/", form_data)
                assert all_rows() == before, (role, action)
    assert wrong == []


@pytest.mark.parametrize("role", ["delete", "superuser"])
@pytest.mark.parametrize("door", ["page", "list"])
def test_who_may_delete_a_user_deletes_what_is_the_users(
    rows: dict[str, Model], role: str, door: str
) -> None:
    ann = User.objects.get(username="ann")
    client, entry = client_of(role, "User"), rows["AuditEntry"]
    staff = User.objects.get(username=role)
    staff.user_permissions.add(Permission.objects.get(codename="view_user"))
    path = "/admin/auth/user/" if door == "list" else f"/admin/auth/user/{ann.pk}/delete/"
    chosen = {"action": "delete_selected", "_selected_action": [ann.pk], "index": 0}
    response = client.post(path, {"post": "yes", **(chosen if door == "list" else {})})
    assert response.status_code == 302, response.content
    assert not User.objects.filter(pk=ann.pk).exists()
    gone = ("Conversation", "Run", "Interaction", "Event", "JournalEntry", "ApiKey", "OAuthGrant")
    assert not any(type(rows[name])._default_manager.exists() for name in gone)
    assert AuditEntry.objects.filter(pk=entry.pk).exists()


def test_who_may_not_delete_users_deletes_none(rows: dict[str, Model]) -> None:
    ann = User.objects.get(username="ann")
    client = client_of("change", "User")
    response = client.post(f"/admin/auth/user/{ann.pk}/delete/", {"post": "yes"})
    assert response.status_code == 403
    assert User.objects.filter(pk=ann.pk).exists()
