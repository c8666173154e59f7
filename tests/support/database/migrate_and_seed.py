"""Run as a program with a server's environment: migrates, makes users, signs them in.

Reads user names as a JSON list from stdin; prints a JSON object from name to session cookie.
"""

import json
import sys
from datetime import timedelta

import django
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.core.management import call_command
from django.utils import timezone
from django.utils.crypto import get_random_string

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models come after the set-up
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402

BACKEND = "django.contrib.auth.backends.ModelBackend"


def make_users(names: list[str]) -> dict[str, str]:
    """Create missing users ("admin" is an administrator) and a session of each, in bulk."""
    users = [
        User(username=name, password="!", is_staff=admin, is_superuser=admin)
        for name in names
        for admin in [name == "admin"]
    ]
    User.objects.bulk_create(users, ignore_conflicts=True)
    sessions = {}
    for user in User.objects.filter(username__in=names):
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        sessions[user.username] = Session(
            session_key=get_random_string(32, "abcdefghijklmnopqrstuvwxyz0123456789"),
            session_data=SessionStore().encode(data),
            expire_date=timezone.now() + timedelta(days=1),
        )
    Session.objects.bulk_create(sessions.values())
    return {name: session.session_key for name, session in sessions.items()}


if __name__ == "__main__":
    call_command("migrate", verbosity=0, interactive=False)
    json.dump(make_users(json.load(sys.stdin)), sys.stdout)
