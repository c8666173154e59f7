"""A database router for projects that read from a replica."""

from collections.abc import Iterator

from django.apps import AppConfig, apps
from django.db import DEFAULT_DB_ALIAS, models, router


class PrimaryRouter:
    """A router that reads this package's rows from the primary, the first in `DATABASE_ROUTERS`.

    A run is read right after it is written, and its reader decides by the row: a replica that lags
    would answer "not found". Rows that ours refer to, such as a new user, are read there, too.
    """

    def db_for_read(self, model: type[models.Model], **hints: object) -> str | None:
        """Return the primary for this package's rows and for rows that they refer to."""
        owner = hints.get("instance")
        is_ours = _is_ours(model) or (isinstance(owner, models.Model) and _is_ours(type(owner)))
        return DEFAULT_DB_ALIAS if is_ours else None

    db_for_write = db_for_read


def applications() -> Iterator[AppConfig]:
    """Yield the installed applications with rows that must be read from the primary."""
    return filter(_is_marked, apps.get_app_configs())


def is_read_from_primary(application: AppConfig) -> bool:
    """Return whether the project's routers read and write an application's rows in the primary."""
    return all(
        {router.db_for_read(model), router.db_for_write(model)} == {DEFAULT_DB_ALIAS}
        for model in application.get_models()
    )


def _is_ours(model: type[models.Model]) -> bool:
    return _is_marked(apps.app_configs.get(model._meta.app_label))  # noqa: SLF001 - Django's documented _meta


def _is_marked(application: AppConfig | None) -> bool:
    return getattr(application, "is_read_from_primary", False)
