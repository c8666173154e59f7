"""The times that keep a silent host apart from the host that replaces it, and their order.

All are in seconds. See docs/architecture.md, "A worker that is dead, frozen or cut off", for the
events of each time.
"""

# Interval of workers' heartbeats, and of their checks of the database.
HEARTBEAT = 1.0
# PostgreSQL ends a transaction that idles for this long, and releases its locks.
IDLE_TRANSACTION = 3.0
# Time for which a job worker waits for a connection.
CONNECTION_PATIENCE = 3.0
# A worker that cannot reach the database for this long abandons its hosts.
SILENCE = 4.0
# Time for which a write is retried after the database was lost, or after a deadlock.
WRITE_PATIENCE = 4.0
# A wait for a row lock that is longer than this is a fault.
LOCK_TIMEOUT = 6.0
# A worker without a heartbeat for this long counts as dead, and others take its jobs over.
STALLED_AFTER = 7.0


def check_order() -> None:
    """Raise AssertionError if a host could write, or keep a builder, after it was taken over."""
    if not HEARTBEAT < IDLE_TRANSACTION < SILENCE < STALLED_AFTER:
        raise AssertionError("a worker drops its hosts before others take them over")
    if not max(WRITE_PATIENCE, CONNECTION_PATIENCE, LOCK_TIMEOUT) < STALLED_AFTER:
        raise AssertionError("nothing is tried, or waited for, until others have taken over")
    if not STALLED_AFTER - SILENCE >= 2 * HEARTBEAT:
        raise AssertionError("a look may be late")


check_order()
