"""`manage.py protocol_schema`: prints the JSON Schema of the protocol."""

import json

from django.core.management.base import BaseCommand

from chat_app.wire.server_messages import protocol_schema


class Command(BaseCommand):
    """The command that prints the content of docs/protocol.schema.json."""

    help = "Prints the JSON Schema of the socket's messages (docs/protocol.schema.json)."
    # Skip the system checks, because the schema needs only the message models.
    requires_system_checks = ()

    def handle(self, *_args: object, **_options: object) -> None:
        self.stdout.write(json.dumps(protocol_schema(), indent=2))
