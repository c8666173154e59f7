"""The command `python -m bench`; `--help` lists the measurements."""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path

from bench import report, table
from bench.contenders import IN_PROCESS, SERVERS, local
from natproject.cluster.servers import PostgreSQL, Redis

QUICK = ["ours", "nat", "langgraph-sqlite"]


def beside_the_table() -> dict[str, dict[str, float]]:
    """Run the cases of both forms, each in a process, because test servers read the environment."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        PostgreSQL(Path(directory, "postgresql")) as postgresql,
        Redis(Path(directory, "redis")) as redis,
    ):
        services = {"DATABASE_URL": postgresql.url(), "REDIS_URL": redis.url()}
        return {"local": cases({}), "cluster": cases(services)}


def cases(form: dict[str, str]) -> dict[str, float]:
    """Return the figures of all cases in one form (one process, or many processes)."""
    figures: dict[str, float] = {}
    command = [sys.executable, "-m", "bench.beside"]
    env = {**os.environ, **form}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            figures |= json.loads(line)
    assert process.returncode == 0
    return figures


def main() -> None:
    """Run the measurements that the arguments select."""
    parser = ArgumentParser(prog="python -m bench")
    parser.add_argument("--works", nargs="+", choices=table.PEOPLE, default=list(table.PEOPLE))
    parser.add_argument("--contenders", nargs="+", choices=[*SERVERS, *IN_PROCESS], default=QUICK)
    parser.add_argument("--beside", type=Path, help="another checkout of ours, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument(
        "--all", action="store_true", help="everything, written into bench/RESULTS.md"
    )
    arguments = parser.parse_args()
    names = [*SERVERS, *IN_PROCESS] if arguments.all else list(arguments.contenders)
    if arguments.beside:
        SERVERS["beside"] = partial(local, root=arguments.beside.absolute())
        names.insert(1, "beside")
    results = table.measure(table.Plan(names, arguments.works, arguments.rounds, arguments.seconds))
    data = {
        "machine": report.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "table": results,
    }
    if arguments.all:
        report.write(data)
        data["beside"] = beside_the_table()
        report.write(data)
    print("\n".join(report.ratios(results)))
    table.show(results)


if __name__ == "__main__":
    main()
