"""The project as an app: it holds commands and the example workflows."""

from django.apps import AppConfig


class NatprojectConfig(AppConfig):
    """Lets Django find `natproject`'s commands and workflows."""

    name = "natproject"
