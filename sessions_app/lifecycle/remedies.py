"""The remedies for a PostgreSQL that refuses a connection."""

import re

from django.db import connection

# Remedies by patterns of PostgreSQL's messages, which are in English before authentication.
REMEDIES = {
    "password": "Fix the user and the password in DATABASE_URL.",
    "no pg_hba.conf entry": "Allow this machine and this user in PostgreSQL's pg_hba.conf.",
    "role .* does not exist": "Create the user, or fix its name in DATABASE_URL.",
    "database .* does not exist": "Create it (createdb {NAME}), or fix the name in DATABASE_URL.",
    "too many clients|remaining connection slots": (
        "Raise its max_connections, or run fewer processes; see docs/deployment.md."
    ),
    "too many connections for role": (
        "Raise the limit of the user (ALTER ROLE {USER} CONNECTION LIMIT …), or run fewer "
        "processes; see docs/deployment.md."
    ),
    "too many connections for database": (
        "Raise the limit of the database (ALTER DATABASE {NAME} CONNECTION LIMIT …), or run fewer "
        "processes; see docs/deployment.md."
    ),
    "starting up|shutting down": "Try again once it is up.",
}
UNREACHABLE = "Start it, or fix the host and the port in DATABASE_URL."


def connection_remedy(message: str) -> str:
    """Return the remedy for an error of libpq at connecting."""
    matching = (remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, message))
    return next(matching, UNREACHABLE).format(**connection.settings_dict)
