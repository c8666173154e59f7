"""The check that work gets through: announced here, it is taken elsewhere.

No message is sent: a workflow may do real things. A key without runs is announced, as a message
would announce its own; whoever takes it looks for runs, finds none and lets go of it.
"""

import time
from contextlib import closing
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.http.request import validate_host

from sessions_app.lifecycle.findings import Check, Findings
from sessions_app.models import HostLease
from sessions_app.models.host_lease import HostKey
from sessions_app.notify.announce import announce
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry

TAKE_TIMEOUT = 10.0  # seconds
# Where all places are those of runs that wait, one of them is given up within a second or two.
SLOW = 5.0
# A host without runs stays for some seconds.
RELEASE_TIMEOUT = 15.0
LOOK = 0.02


def _dispatch() -> Findings:
    """Announce work for one workflow of each queue, and time its way to a host."""
    queues = {offer.config.queue: offer for offer in registry.offered_workflows()}
    for queue, offer in queues.items():
        key = HostKey.of_conversation(uuid4(), offer.workflow.name)
        yield _announce(key, queue)
        writer.write_now(partial(_forget, key=key))


def _announce(key: str, queue: str) -> CheckMessage:
    start = time.monotonic()
    writer.write_now(lambda tx: announce(tx, key))
    lease = _wait(key, TAKE_TIMEOUT, released_at=None)
    seconds = time.monotonic() - start
    if lease is None:
        return Error(
            f"{queue}: nobody took the work in {TAKE_TIMEOUT:.0f} s",
            "Look at workers and jobs above, and into the workers' logs.",
        )
    if _wait(key, RELEASE_TIMEOUT, released_at__isnull=False) is None:
        return Error(f"{queue}: {lease.worker} does not let go", "Look into its log.")
    fact = f"{queue}: {lease.worker} took the work after {seconds * 1000:.0f} ms"
    if seconds > SLOW:
        return Warning(fact, "A new run waits for a place as long: start more workers.")
    return Info(fact)


def _wait(key: str, seconds: float, **conditions: object) -> HostLease | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if lease := HostLease.objects.filter(pk=key, **conditions).first():
            return lease
        time.sleep(LOOK)
    return None


def _forget(tx: Transaction, key: str) -> None:
    HostLease.objects.filter(pk=key, released_at__isnull=False).delete()


def _page() -> Findings:
    """Ask the server for `/health`: in the local form its address is a setting."""
    address = RuntimeSettings.load().HEALTH_URL
    if not address:
        yield Warning("where this site answers is not known", "Set HEALTH_URL in HITL.")
        return
    url = urlsplit(address)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.netloc, timeout=TAKE_TIMEOUT)
    try:
        with closing(connection):
            connection.request("GET", url.path, headers=_allowed_host(url))
            status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        yield Error(f"{address} does not answer: {error}", "Start the server.")
        return
    if status == HTTPStatus.OK:
        yield Info(f"{address} is well")
    else:
        yield Error(f"{address} answers {status}", "Look into its log.")


def _allowed_host(url: SplitResult) -> dict[str, str]:
    """Name a host that is allowed, where the address at which the server listens is none."""
    allowed_hosts = settings.ALLOWED_HOSTS
    if not allowed_hosts or validate_host(url.hostname or "", allowed_hosts):
        return {}
    return {"Host": allowed_hosts[0]}


CHECKS = (
    Check(150, "end to end", _dispatch, needs="workers")
    if RuntimeSettings.load().cluster
    else Check(150, "end to end", _page),
)
