"""Watching the event loop costs the process nothing, whatever else it does."""

import pytest

from tests.support.processes.command import run
from tests.support.processes.environment import ROOT, environment

pytestmark = pytest.mark.formless

# Each look is one at which garbage is collected, whose finalizers let another thread run; and that
# starts and ends threads.
LOOKS = """
import gc, threading, time
import django
django.setup()
from sessions_app.hosting.watchdog import frame_of

class Garbage:
    def __init__(self):
        self.own = self
    def __del__(self):
        time.sleep(0)

def start_threads():
    while True:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

threading.Thread(target=start_threads, daemon=True).start()
gc.set_threshold(5, 1, 1)
for _ in range(3000):
    Garbage()
    assert frame_of(threading.get_ident())
print("saw it all", gc.isenabled())
"""


def test_a_process_that_is_looked_at_does_not_stand_still() -> None:
    done = run("-c", LOOKS, env=environment(ROOT))
    assert done.stdout == "saw it all True\n", done.stderr
