"""The times that keep a host that went silent and the one that replaces it apart, and their order.

In seconds. What happens in each of them is in docs/cluster.md, under "When a worker is dead,
frozen or cut off".
"""

# Heartbeats of workers, and their looks at the database.
HEARTBEAT = 1.0
# PostgreSQL ends a transaction that its process holds open and does nothing in, and its locks.
IDLE_TRANSACTION = 3.0
# For how long a job worker waits for a connection.
CONNECTION_PATIENCE = 3.0
# A worker that has not reached the database for so long drops its hosts.
SILENCE = 4.0
# For how long a write is tried again after the database went away, or two waited for each other.
WRITE_PATIENCE = 4.0
# Whoever waits for a row longer than this has met a fault.
LOCK_TIMEOUT = 6.0
# Without a heartbeat for so long a worker counts as dead, and others take its jobs over.
STALLED_AFTER = 7.0


def check_order() -> None:
    """Raise AssertionError if a host could still write, or keep a builder, when another begins."""
    if not HEARTBEAT < IDLE_TRANSACTION < SILENCE < STALLED_AFTER:
        raise AssertionError("a worker drops its hosts before others take them over")
    if not max(WRITE_PATIENCE, CONNECTION_PATIENCE, LOCK_TIMEOUT) < STALLED_AFTER:
        raise AssertionError("nothing is tried, or waited for, until others have taken over")
    if not STALLED_AFTER - SILENCE >= 2 * HEARTBEAT:
        raise AssertionError("a look may be late")


check_order()
