"""`make fuzz`: rounds of test_fuzz.py, each with other input, until the time is over."""

import argparse
import os
import random
import subprocess
import sys
import time

EXAMPLES = 300


def main() -> int:
    """Fuzz; return 1 once something does harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.minutes * 60
    seed = arguments.seed
    while time.monotonic() < until:
        sys.stdout.write(f"seed {seed}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly"]
        command += ["-o", "faulthandler_timeout=0"]  # it takes as long as it takes
        command += [f"--hypothesis-seed={seed}", "tests/hostile/test_fuzz.py"]
        process = subprocess.run(
            command, env=os.environ | {"FUZZ_EXAMPLES": str(EXAMPLES)}, check=False
        )
        if process.returncode:
            sys.stdout.write(f'make fuzz ARGS="--seed {seed}" shows it again.\n')
            return 1
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
