"""The last thing that happens to one process: a page of its database is overwritten on its disk.

What it stored there is lost. It must say so, and leave all else as it is.
"""

from typing import Any

from tests.chaos.one_process import OneProcess
from tests.support.database.damage import overwrite
from tests.support.polling import until
from tests.support.server import health

DAMAGED = "sessions_app_event"
WHOLE = ("conversation", "run", "interaction", "journalentry")
PATIENCE = 30.0  # seconds until it says so


def wrong_under_damage(form: OneProcess) -> list[str]:
    """Damage it; return what it does not do then."""
    form.node.terminate()
    form.node.reap()
    before = _rows(form)
    overwrite(form.data_dir, form.rows, DAMAGED)
    form.node.start()
    wrong = []
    try:
        until(lambda: (told := health(form.port))[0] == 503 and "damaged" in told[1], PATIENCE)
    except AssertionError:
        wrong.append(f"/health is well without {DAMAGED}")
    if not form.node.up:
        wrong.append("the server ended by itself")
    form.node.kill()
    if _rows(form) != before:
        wrong.append("rows of other tables are not as they were")
    return wrong


def _rows(form: OneProcess) -> list[list[dict[str, Any]]]:
    return [form.rows(f"SELECT * FROM sessions_app_{name} ORDER BY id") for name in WHOLE]  # noqa: S608 - of a list
