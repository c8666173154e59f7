"""`python -m tests.planted`: plants each bug of the lists, and says which were not found.

`--only WORD` takes those whose rule, file or test has the word.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.planted.planting import Bug, bugs, look_for


def main() -> int:
    """Print what was not found; the status is 1 if anything was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    chosen = [bug for bug in bugs() if _is_meant(bug, options.only)]
    began = time.monotonic()
    with ThreadPoolExecutor(options.at_once) as threads:
        outcomes = list(zip(chosen, threads.map(look_for, chosen), strict=True))
    for bug, why in outcomes:
        if why:
            sys.stdout.write(f"NOT FOUND: {bug.rule} ({bug.file}): {why}\n")
    found_count = sum(not why for _, why in outcomes)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{found_count} of {len(chosen)} planted bugs found in {seconds:.0f}s\n")
    return found_count < len(chosen) or not chosen


def _is_meant(bug: Bug, text: str) -> bool:
    return text in f"{bug.rule}\n{bug.file}\n{bug.test}"


if __name__ == "__main__":
    sys.exit(main())
