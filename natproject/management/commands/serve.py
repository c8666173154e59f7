"""`manage.py serve`: everything in one process, ready to use."""

import errno
import os
import socket
import sys

from daphne.cli import CommandLineInterface
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from twisted.internet import reactor

from natproject.serving import daphne_arguments
from natproject.sign_in import sign_in_url, site_url
from sessions_app.lifecycle.start_checks import usable_database


class Command(BaseCommand):
    """The command that migrates, makes the first user, prints a sign-in link, and serves."""

    help = "Serves the application at HOST:PORT and prints a link that signs the first user in."
    requires_system_checks = ()  # `handle` runs the checks: since Django 6.1 they use the database

    def handle(self, *_args: object, **_options: object) -> None:
        check_free(settings.HOST, settings.PORT)
        try:
            with usable_database():
                self.check()
                call_command("migrate", verbosity=0, interactive=False)
                welcome = self._welcome()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        # Print the link once the port is open, so that an immediate click is not refused.
        reactor.callWhenRunning(lambda: (self.stdout.write(welcome), self.stdout.flush()))
        CommandLineInterface().run(daphne_arguments(settings.HOST, settings.PORT))

    def _welcome(self) -> str:
        manage = f"{os.path.relpath(sys.executable)} manage.py"
        user = first_user()
        link = sign_in_url(user) if user else f"run {manage} sign_in_link USERNAME"
        return "\n".join(
            [
                f"Sign in: {link}",
                "         (works once; each start prints a new one)",
                f"Admin:   {site_url('/admin/')}",
                f"Another: {manage} sign_in_link USERNAME [--superuser]",
                "Tests:   make test",
                "Docs:    README.md and docs/",
                "Stop:    Ctrl-C (runs that wait for an answer continue after the next start)",
            ]
        )


def first_user() -> User | None:
    """Return the user for the printed link: the first administrator, created if there is no user.

    That user becomes a manager when the group `managers` is first created.
    """
    if not User.objects.exists():
        User.objects.create_superuser("admin")
    first = User.objects.filter(is_active=True).order_by("-is_superuser", "pk").first()
    # The group that `expense_approval` asks; later members are added in the admin.
    managers, is_new = Group.objects.get_or_create(name="managers")
    if is_new and first is not None:
        managers.user_set.add(first)
    return first


def check_free(host: str, port: int) -> None:
    """Raise CommandError with advice if the server cannot listen at `host`:`port`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} is taken. Stop what uses it, or run PORT={port + 1} make run."
        else:
            message = f"HOST={host} PORT={port} cannot be served: {error.strerror}."
        raise CommandError(message) from None
