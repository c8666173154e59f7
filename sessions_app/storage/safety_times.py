"""The timeouts that keep a cut-off host from writing after its replacement, and their order.

All are in seconds. See docs/architecture.md, "A worker that is dead, frozen or cut off", for the
events of each time.
"""

# Interval of workers' heartbeats, and of their checks of the database.
HEARTBEAT = 1.0
# Time after which PostgreSQL ends an idle transaction, and thereby frees its locks.
IDLE_TRANSACTION = 3.0
# Time for which a job worker waits for a database connection.
CONNECTION_PATIENCE = 3.0
# A worker that cannot reach the database for this long drops its runs, and writes nothing more.
SILENCE = 4.0
# Maximum time for which a write is retried after the database was lost, or after a deadlock.
WRITE_PATIENCE = 4.0
# A wait for a row lock that is longer than this is a fault.
LOCK_TIMEOUT = 6.0
# Time without a heartbeat after which other workers take over a worker's jobs.
STALLED_AFTER = 7.0


def check_order() -> None:
    """Raise AssertionError if the times let a replaced host still write, or keep its builder."""
    if not HEARTBEAT < IDLE_TRANSACTION < SILENCE < STALLED_AFTER:
        raise AssertionError("a worker drops its hosts before others take them over")
    if not max(WRITE_PATIENCE, CONNECTION_PATIENCE, LOCK_TIMEOUT) < STALLED_AFTER:
        raise AssertionError("nothing is tried, or waited for, until others have taken over")
    if not STALLED_AFTER - SILENCE >= 2 * HEARTBEAT:
        raise AssertionError("a look may be late")


check_order()
