"""Makes the tables, registers the client, and serves until it is killed."""

import os
import sys


def main(directory: str, port: str, redirect_uris: str) -> None:
    """Serve the OAuth server, with a client that may send people back to these addresses."""
    os.environ |= {
        "OAUTH_SERVER": directory,
        "DJANGO_SETTINGS_MODULE": "tests.contrib.oauth.server.settings",
    }
    from django import setup  # noqa: PLC0415 - the environment first

    setup()
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.core.servers.basehttp import run  # noqa: PLC0415 - as above
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - as above
    from oauth2_provider.models import get_application_model  # noqa: PLC0415 - as above

    call_command("migrate", run_syncdb=True, verbosity=0)
    get_application_model().objects.update_or_create(
        client_id="hitl",
        defaults={
            "client_secret": "client-secret",
            "client_type": "confidential",
            "authorization_grant_type": "authorization-code",
            "redirect_uris": redirect_uris,
            "name": "The site under test",
        },
    )
    run("127.0.0.1", int(port), get_wsgi_application(), threading=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
