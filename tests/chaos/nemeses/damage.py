"""The last thing that happens to one process: a page of its database is overwritten on its disk.

What it stored there is lost. It must say so, and leave all else as it is.
"""

import http.client
import subprocess
import sys
import time
from typing import Any

from tests.chaos.one_process import OneProcess
from tests.support.database.damage import overwrite
from tests.support.processes.environment import HOST, ROOT

DAMAGED = "sessions_app_event"
WHOLE = ("conversation", "run", "interaction", "journalentry")
PATIENCE = 30.0  # seconds until it says so


def wrong_under_damage(form: OneProcess) -> list[str]:
    """Damage it; return what it does not do then."""
    form.node.terminate()
    form.node.reap()
    before = _rows(form)
    overwrite(form, DAMAGED)
    form.node.start()
    wrong = [] if _said(form.port) else [f"/health is well without {DAMAGED}"]
    doctor = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=dict(form.environment("doctor")),
        capture_output=True,
        text=True,
        check=False,
    )
    if doctor.returncode != 1 or "damaged" not in doctor.stdout:
        wrong.append(f"doctor ends with {doctor.returncode}: {doctor.stdout}")
    if not form.node.up:
        wrong.append("the server ended by itself")
    form.node.kill()
    if _rows(form) != before:
        wrong.append("rows of other tables are not as they were")
    return wrong


def _rows(form: OneProcess) -> list[list[dict[str, Any]]]:
    return [form.rows(f"SELECT * FROM sessions_app_{name} ORDER BY id") for name in WHOLE]  # noqa: S608 - of a list


def _said(port: int) -> bool:
    """Return whether /health says what is wrong, in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/health")
            with connection.getresponse() as answer:
                if answer.status == 503 and b"damaged" in answer.read():
                    return True
        except (OSError, http.client.HTTPException):
            pass  # it is not up yet
        finally:
            connection.close()
        time.sleep(0.1)
    return False
