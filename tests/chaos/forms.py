"""The two forms, as `make chaos` and `make soak` start them."""

import argparse
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.one_process import OneProcess
from tests.chaos.orders import interfered
from tests.cluster.cluster import Cluster, Template

AnyForm = Cluster | OneProcess
# Of a worker: a crowd can take all of some, and leave some of another.
PLACES = 6
FORMS = ("cluster", "local")


def options(description: str | None, *, minutes: float, users: int) -> argparse.ArgumentParser:
    """Return a parser of what both commands take, with these defaults; `forms` reads the forms."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--form", action="append", choices=FORMS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--users", type=int, default=users)
    return parser


def forms(chosen: argparse.Namespace) -> list[str]:
    """Return the forms that a command line names: both, where it names none."""
    return list(chosen.form or FORMS)


@contextmanager
def started(form: str, directory: Path, **env: str) -> Iterator[AnyForm]:
    started_form: AnyForm
    if form == "local":
        started_form = OneProcess(directory / "p")
    else:
        template = Template(directory / "template")
        started_form = Cluster(
            template, directory / "c", workers=3, idle=3.0, build=0.3, places=PLACES
        )
        started_form.env |= interfered(started_form.orders)
    started_form.env |= env
    # However this program is ended, it ends what it has started, and gives the disk back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with started_form:
        yield started_form
