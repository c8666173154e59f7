"""`python -m bench.cluster`: the form of many processes; DATABASE_URL and REDIS_URL name services
of which it may drop and make databases. `make bench` runs it with a pair of its own.
"""

import tempfile
from pathlib import Path

from bench import neighbours, pending, trips, workers
from tests.support.running_form import CLUSTER
from tests.support.server import Template


def main() -> None:
    """Run all, print."""
    assert CLUSTER, "DATABASE_URL and REDIS_URL are missing"
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        seeded = Path(directory, "template")
        seeded.mkdir()
        template = Template.make(seeded, ["ann", "ben"])
        try:
            for benchmark in (trips, workers, pending, neighbours):
                print(f"\n{benchmark.__name__}, on PostgreSQL and Redis")
                benchmark.report(template, Path(directory, benchmark.__name__))
        finally:
            template.store.drop()


if __name__ == "__main__":
    main()
