"""`manage.py collect_changed`: `collectstatic`, if a file has changed since the last run."""

from django.conf import settings
from django.contrib.staticfiles.management.commands import collectstatic


class Command(collectstatic.Command):
    """The command that collects and compresses static files, unless they are up to date."""

    help = "Collects static files as collectstatic does, if one has changed since."

    def handle(self, **options: object) -> None:
        if settings.DEBUG or not settings.SERVESTATIC_USE_FINDERS:
            return
        self.stdout.write("Compressing static files (only when they have changed) …")
        super().handle(**options)
