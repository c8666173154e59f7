"""`python -m natproject.cluster.prepare`: migrates, and prints a sign-in link for the first user.

This is a separate process, because the parent process does not have the cluster's settings.
"""

import os
import sys

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "natproject.settings")


def main() -> None:
    """Load Django, wait for a line on stdin once PostgreSQL is ready, then migrate."""
    django.setup()
    # Import late: these modules import models, which need `django.setup()`.
    from natproject.management.commands.serve import first_user  # noqa: PLC0415
    from natproject.sign_in import sign_in_url  # noqa: PLC0415

    sys.stdin.readline()
    call_command("migrate", verbosity=0, interactive=False)
    user = first_user()
    print(sign_in_url(user) if user else "", flush=True)  # noqa: T201 - read by the parent process


if __name__ == "__main__":
    main()
