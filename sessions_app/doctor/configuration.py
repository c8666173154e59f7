"""Checks of settings: what people can reach is to be safe."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core import checks

from sessions_app.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows import registry

HERE = {"localhost", "127.0.0.1", "[::1]", "::1"}
# What the proxy that ends TLS may do: HSTS and the redirect to HTTPS. Whether browsers come with a
# list that has the host is for who owns the domain.
OF_THE_PROXY = {"security.W004", "security.W008", "security.W021"}
# Said in our words below.
OF_HTTPS = {"security.W012", "security.W016"}
OF_DEBUG = "security.W018"


def _settings() -> Iterator[Finding]:
    form = "cluster" if RuntimeSettings.load().cluster else "local"
    public = set(settings.ALLOWED_HOSTS) - HERE
    yield ok(f"{form} form, for {', '.join(sorted(public)) or 'this machine only'}")
    if RuntimeSettings.load().cluster and not public:
        yield warning("no host but this machine is allowed", "Set ALLOWED_HOSTS.")
    if "*" in public:
        yield warning("any host name is allowed", "Name the hosts in ALLOWED_HOSTS.")
    if settings.DEBUG and (public or RuntimeSettings.load().cluster):
        yield wrong("DEBUG is on: errors show the code to everybody", "Set DEBUG=false.")
    if public and not settings.SESSION_COOKIE_SECURE:
        yield warning("cookies go over plain HTTP", "End TLS at a proxy and set HTTPS=true.")
    yield from _of_django()


def _of_django() -> Iterator[Finding]:
    """What `manage.py check --deploy` says, but for what is said above or done by a proxy."""
    for message in checks.run_checks(include_deployment_checks=True):
        if message.id not in {*OF_THE_PROXY, *OF_HTTPS, OF_DEBUG}:
            find = wrong if message.level >= checks.ERROR else warning
            yield find(f"{message.id}: {message.msg}", message.hint or "")


def _workflows() -> Iterator[Finding]:
    names = ", ".join(offered.workflow.name for offered in registry.offered())
    file = RuntimeSettings.load().WORKFLOWS_FILE
    yield ok(f"{file.name if file else 'what is declared'} offers {names}")
    for offered in registry.offered():
        yield from _limits(offered)


def _limits(offered: registry.Offered) -> Iterator[Finding]:
    """Groups and a permission that nobody can have: a slip of the pen shuts everybody out."""
    name, config = offered.workflow.name, offered.config
    known = Group.objects.filter(name__in=config.groups).values_list("name", flat=True)
    for group in sorted({*config.groups} - {*known}):
        yield wrong(f"{name} is for the group {group!r}: there is none", "Make it, or mend it.")
    if config.permission:
        app, codename = config.permission.split(".")
        if not Permission.objects.filter(content_type__app_label=app, codename=codename).exists():
            yield wrong(
                f"{name} is for {config.permission}: there is no such permission", "Mend it."
            )


CHECKS = (Check("settings", _settings), Check("workflows", _workflows))
