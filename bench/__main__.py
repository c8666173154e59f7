"""`python -m bench --help` says what can be measured."""

from argparse import ArgumentParser
from functools import partial
from pathlib import Path

from bench import table
from bench.contenders import IN_PROCESS, SERVERS, local

QUICK = ["ours", "nat", "langgraph-sqlite"]


def main() -> None:
    """Run what was asked for."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--works", nargs="+", choices=table.PEOPLE, default=list(table.PEOPLE))
    parser.add_argument("--contenders", nargs="+", choices=[*SERVERS, *IN_PROCESS], default=QUICK)
    parser.add_argument("--beside", type=Path, help="another checkout of ours, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    names = list(given.contenders)
    if given.beside:
        names.insert(1, "beside")
        SERVERS["beside"] = partial(local, root=given.beside.absolute())
    table.show(table.measure(table.Plan(names, given.works, given.rounds, given.seconds)))


if __name__ == "__main__":
    main()
