"""`python -m natproject.cluster.prepare`: migrates, and prints how the first user signs in.

A process of its own, because it has the settings of the cluster; the one that starts it has not.
"""

import os
import sys

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "natproject.settings")


def main() -> None:
    """Wait for a line, which says that PostgreSQL is there, while this is already loaded."""
    django.setup()
    # They import models, which Django must have set up.
    from natproject.management.commands.serve import first_user  # noqa: PLC0415
    from natproject.sign_in import sign_in_url  # noqa: PLC0415

    sys.stdin.readline()
    call_command("migrate", verbosity=0, interactive=False)
    user = first_user()
    print(sign_in_url(user) if user else "", flush=True)  # noqa: T201 - read by who started it


if __name__ == "__main__":
    main()
