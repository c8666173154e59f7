"""`manage.py sign_in_link USERNAME`."""

from argparse import ArgumentParser

from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from natproject.sign_in import sign_in_url


class Command(BaseCommand):
    """The command that prints a sign-in link for a user, and creates the user if needed."""

    help = "Prints a link that signs USERNAME in, once, within a day. Makes the user if new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--superuser", action="store_true", help="let the user do everything in the admin"
        )

    def handle(self, *, username: str, superuser: bool, **_options: object) -> None:
        user = User.objects.filter(username=username).first() or make_user(username)
        if not user.is_active:
            raise CommandError(f"{username} is deactivated. Activate the user in the admin first.")
        if superuser:
            user.is_staff = user.is_superuser = True
            user.save(update_fields=["is_staff", "is_superuser"])
        self.stdout.write(sign_in_url(user))


def make_user(username: str) -> User:
    """Create a user without a password, for sign-in by link only."""
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError as error:
        raise CommandError(f"{username!r} cannot be a user name. {error.messages[0]}") from None
    return User.objects.create_user(username)
