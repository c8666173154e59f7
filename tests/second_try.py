"""The second try of the tests that failed in `.ci/run`, each form's alone and at the end.

`python -m tests.second_try local=COMMAND cluster=COMMAND` runs each command with the tests that
failed in suites whose names end with that form. It prints the tests that pass now as flaky, and
ends with 1 if a test fails again or if more than `MOST` have failed.
"""

import json
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".pytest_cache"
AGAIN = "second-try"
MOST = 3


def main(commands: dict[str, str]) -> int:
    """Run the failed tests once more; return the exit status."""
    failed = {form: failed_tests(f"*-{form}") for form in commands}
    first = sorted(test for tests in failed.values() for test in tests)
    if len(first) > MOST:
        return report(first, f"failed: more than {MOST}, so none gets a second try")
    ran = [run(commands[form], tests) for form, tests in failed.items() if tests]
    again = failed_tests(AGAIN)
    report([test for test in first if test not in again], "flaky: failed, and passed alone")
    report(again, "failed twice")
    return max(ran, default=0)


def run(command: str, tests: list[str]) -> int:
    """Run pytest with these tests; return its exit status."""
    script = f'{command} -o cache_dir="{CACHE / AGAIN}" "$@"'
    return subprocess.run(["sh", "-c", script, "sh", *tests], check=False).returncode


def failed_tests(suites: str) -> list[str]:
    """Return the ids of the failed tests, as pytest's caches of the suites have them."""
    files = CACHE.glob(f"{suites}/v/cache/lastfailed")
    return sorted({test for file in files for test in json.loads(file.read_text())})


def report(tests: list[str], reason: str) -> int:
    """Print each test with the reason; return the exit status of a failure."""
    print(*(f"{reason}: {test}" for test in tests), sep="\n", end="\n" if tests else "")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(dict(argument.split("=", 1) for argument in sys.argv[1:])))
