"""A program, run with a line's environment: migrates, creates `ann`, prints her API key."""

import sys

import django
from django.core.management import call_command

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - models come after the set-up
from django.utils import timezone  # noqa: E402

from chat_app.identity.api_keys import issue  # noqa: E402
from chat_app.models import ApiKey  # noqa: E402
from tests.support.host_site.site import MAIL, NAME, PASSWORD  # noqa: E402

for database in django.db.connections:
    call_command("migrate", verbosity=0, interactive=False, database=database)
model = get_user_model()
names = {model.USERNAME_FIELD: MAIL if model.USERNAME_FIELD == "email" else NAME, "email": MAIL}
ann = model.objects.create_superuser(password=PASSWORD, **names)
row = ApiKey(user=ann, name="a program", created_at=timezone.now())
key = issue(row)
row.save()
sys.stdout.write(key)
