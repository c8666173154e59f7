"""The checks of requirements before a process starts: settings, the database, its tables.

`manage.py check` reports the project and, with a database, the workflows.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core import checks
from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.db.models.functions import Coalesce

from sessions_app.lifecycle.findings import TAG, Check, Findings, examine
from sessions_app.lifecycle.remedies import connection_remedy
from sessions_app.models import Run
from sessions_app.routers import applications, is_read_from_primary
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql
from sessions_app.storage.databases import POOL_SIZE
from sessions_app.workflows import registry

# The maximum size of a pool for which a project names no size.
PSYCOPG_POOL_SIZE = 4
CLUSTER = RuntimeSettings.load().cluster


def _form() -> Findings:
    if not RuntimeSettings.load().cluster:
        return
    if connection.vendor != "postgresql":
        yield Error(
            "HITL has a REDIS_URL, which is for many processes, and these need PostgreSQL",
            "Write DATABASES = {'default': sessions_app.storage.databases.postgresql(URL)}.",
        )
    elif not apps.is_installed("procrastinate.contrib.django"):
        yield Error(
            "HITL has a REDIS_URL, and many processes need 'procrastinate.contrib.django'",
            "Put it into INSTALLED_APPS, before 'sessions_app'.",
        )


# Import the checks for many processes only if needed: their packages may not be installed.
IS_COMPLETE_CLUSTER = CLUSTER and not [*_form()]
cluster = import_module(f"{__package__}.cluster_requirements") if IS_COMPLETE_CLUSTER else None


def _project() -> Findings:
    if sys.flags.optimize > 1:
        yield Error(
            "Python runs with -OO, and without docstrings errors and tools of agents have no words",
            "Start it without -OO, or with -O; look at PYTHONOPTIMIZE, too.",
        )
    try:
        tempfile.gettempdir()
    except OSError as error:
        yield Warning(  # not an Error, so that a process starts even with a full disk
            f"Larger uploads and downloads find no place: {error}",
            "Let TMPDIR name a directory to which this user may write.",
        )
    if not settings.USE_TZ:
        yield Error(
            "USE_TZ is off, and what waits, expires and is due at a time needs a time zone",
            "Set USE_TZ = True; Django's documentation of time zones says how a project moves to "
            "it.",
        )
    yield from _stale_reads()


def _stale_reads() -> Findings:
    """Find settings by which rows would be read as they were before the last write."""
    labels = sorted(config.label for config in applications())
    if any(not is_read_from_primary(config) for config in applications()):
        yield Error(
            "DATABASE_ROUTERS read runs from another database than 'default', and a replica that "
            "lags does not have the run that was just written",
            "Put 'sessions_app.routers.PrimaryRouter' first into DATABASE_ROUTERS.",
        )
    is_cached = apps.is_installed("cachalot") and getattr(settings, "CACHALOT_ENABLED", True)
    if is_cached and not {*labels} <= {*getattr(settings, "CACHALOT_UNCACHABLE_APPS", ())}:
        yield Error(
            "django-cachalot caches rows of runs, and does not see that the writer changes them",
            f"Set CACHALOT_UNCACHABLE_APPS = {tuple(labels)}, with applications of your own.",
        )


def _pool() -> Findings:
    """Find a connection pool with fewer connections than the process needs: requests would hang."""
    pool = connection.settings_dict.get("OPTIONS", {}).get("pool")
    if not pool:
        return
    sizes = {} if pool is True else pool
    size = sizes.get("max_size") or sizes.get("min_size", PSYCOPG_POOL_SIZE)
    if size < POOL_SIZE:
        yield Error(
            f"The connection pool in DATABASES has at most {size} connections, and a process needs "
            f"{POOL_SIZE}: sign-ins and messages would wait for a free one",
            f'Write: DATABASES["default"]["OPTIONS"]["pool"] = {{"max_size": {POOL_SIZE}}}',
        )


def _workflows() -> Findings:
    names = ", ".join(offer.workflow.name for offer in registry.offered_workflows())
    file = RuntimeSettings.load().WORKFLOWS_FILE
    yield Info(f"{file.name if file else 'what is declared'} offers {names}")
    for offer in registry.offered_workflows():
        yield from _limits(offer)
    yield from _unhostable_runs()


def _workflow_warnings() -> Findings:
    """Report problems of workflows as warnings, so that `migrate` and a start continue."""
    with suppress(DatabaseError):  # no tables yet: `migrate` runs this check before it creates them
        for finding in _workflows():
            if finding.level > checks.INFO:
                yield Warning(finding.msg, finding.hint)


def _unhostable_runs() -> Findings:
    """Find unfinished runs whose workflow or version is missing: a host would suspend them."""
    offered = {
        (offer.workflow.name, version.version)
        for offer in registry.offered_workflows()
        for version in offer.workflow.versions
    }
    names = {name for name, _ in offered}
    runs = Run.objects.filter(status__in=(*Run.UNFINISHED, Run.Status.SUSPENDED)).order_by()
    for name, version, count in sorted(
        runs.values_list("workflow", Coalesce("version", 0)).annotate(Count("pk"))
    ):
        if (name, version) in offered or (name in names and not version):  # version 0: not begun
            continue
        subject = f"version {version} of {name}" if name in names else f"the workflow {name}"
        yield Warning(
            f"unfinished runs of {subject}, which is not offered here: {count}",
            "Declare and offer it again until they have ended, or stop them in the admin.",
        )


def _limits(offer: registry.OfferedWorkflow) -> Findings:
    """Find a workflow's groups and permission that do not exist: a typo would exclude everybody."""
    name, config = offer.workflow.name, offer.config
    group_names = Group.objects.filter(name__in=config.groups).values_list("name", flat=True)
    for group in sorted({*config.groups} - {*group_names}):
        yield Error(
            f"{name} is for the group {group!r}: no such group", "Create it, or fix its name."
        )
    if config.permission:
        app, codename = config.permission.split(".")
        if not Permission.objects.filter(content_type__app_label=app, codename=codename).exists():
            yield Error(f"{name} is for {config.permission}: no such permission", "Fix it.")


def _database() -> Findings:
    if cluster is not None and (failure := cluster.unusable()):
        yield failure
        return
    try:
        connection.ensure_connection()
        start = time.perf_counter()
        sql.fetch("SELECT CURRENT_TIMESTAMP", ())
    except NotImplementedError as error:  # psycopg reads times in the style ISO only
        yield Error(
            f"The database {connection.settings_dict['NAME']} writes times in another style than "
            f"ISO: {error}",
            f"Run: ALTER ROLE {connection.settings_dict['USER']} SET DateStyle = 'ISO'; or add "
            "'-c DateStyle=ISO' to the option 'options' of DATABASES.",
        )
        return
    except (DatabaseError, OSError) as error:
        yield unusable(error)
        return
    milliseconds = (time.perf_counter() - start) * 1000
    version = ".".join(map(str, connection.get_database_version()))
    yield Info(f"{connection.display_name} {version} answers in {milliseconds:.1f} ms")


def unusable(error: Exception) -> CheckMessage:
    """Make a finding of an error of the database, with a remedy."""
    remedy = "Check whether its disk is full, and whether this user may write to its directory."
    if connection.vendor == "postgresql":
        remedy = connection_remedy(str(error))
    return Error(f"The database {connection.settings_dict['NAME']} cannot be used: {error}", remedy)


def _migrations() -> Findings:
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        labels = ", ".join(sorted({migration.app_label for migration, _ in plan}))
        yield Error(
            f"The database is not up to date: {len(plan)} migrations to apply ({labels})",
            "Run: python manage.py migrate",
        )
    else:
        yield Info("all applied")


PROJECT = Check(107, "project", _project)
POOL = Check(109, "pool", _pool)
FORM = Check(101, "form", _form)
DATABASE = Check(104, "database", _database, needs="form")
MIGRATIONS = Check(105, "migrations", _migrations, needs="database")
WORKFLOWS = Check(103, "workflows", _workflows, needs="migrations")
WORKFLOW_WARNINGS = Check(103, "workflows", _workflow_warnings)
# Checks that must pass before a process of the application starts.
START_CHECKS = (
    PROJECT,
    POOL,
    FORM,
    DATABASE,
    *(cluster.START_CHECKS if cluster else ()),
    MIGRATIONS,
)


@checks.register(TAG, checks.Tags.database)
def check_workflows(*, databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Report problems of workflows as warnings, if Django permits checks to query a database.

    A connection that the check opens is closed again: `manage.py test --parallel` forks its
    processes after the checks, and they would share the connection.
    """
    if not databases:
        return []
    was_open = connection.connection is not None
    try:
        return list(examine([WORKFLOW_WARNINGS]))
    finally:
        if not was_open:
            sql.database().disconnect(connection)


@checks.register(TAG)
def check_project(**_: object) -> list[CheckMessage]:
    """Report settings of the Django project with which this application cannot work."""
    return list(examine([PROJECT, POOL, *((cluster.WORKER_QUEUES,) if cluster else ())]))
