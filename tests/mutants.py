"""`python -m tests.mutants`: mutates what must never be wrong, and says which mutants survive.

Its arguments are those of `mutmut run`, such as `'sessions_app.interactions.votes*'`; without, all
files of pyproject.toml. `mutants.toml` has those that may survive, each with its reason. The
status is 1 if any other does.
"""

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

BIN = Path(sys.executable).parent
LISTED = Path(__file__).parent / "mutants.toml"


def main() -> int:
    """Run mutmut, and compare what survives with the list."""
    patterns = [one for one in sys.argv[1:] if not one.startswith("-")] or ["*"]
    mutmut("run", *sys.argv[1:], capture_output=False)
    verdicts = re.findall(r"^ +(\S+): (.+)$", mutmut("results", "--all", "true"), re.MULTILINE)
    chosen = [
        (name, verdict)
        for name, verdict in verdicts
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]
    listed = tomllib.loads(LISTED.read_text())["mutant"]
    reasons = {(one["function"], line): one["why"] for one in listed for line in one["lines"]}
    others = []
    for name, verdict in chosen:
        if verdict in ("survived", "no tests"):
            diff = mutmut("show", name)
            function, old, new = read_diff(name, diff)
            # SQL and messages are the same in capitals; another mutant changes the text itself.
            if old.lower() != new.lower() and (function, new or old) not in reasons:
                others.append(f"{verdict}: {diff}")
    sys.stdout.write("\n".join(others))
    sys.stdout.write(f"\n{len(others)} of {len(chosen)} mutants survive without a reason\n")
    return bool(others)


def mutmut(*arguments: str, capture_output: bool = True) -> str:
    """Run mutmut and return what it prints."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [str(BIN / "mutmut"), *arguments]
    process = subprocess.run(
        command, env=environment, capture_output=capture_output, text=True, check=True
    )
    return process.stdout or ""


def read_diff(name: str, diff: str) -> tuple[str, str, str]:
    """Return the function of a mutant, and its lines as they are and as mutated."""
    function = re.sub(r"\.x_|\.xǁ|ǁ", ".", name.partition("__mutmut_")[0])
    lines = diff.partition("\n@@")[2].splitlines()
    old, new = (" ".join(one[1:].strip() for one in lines if one.startswith(sign)) for sign in "-+")
    return function, old, new


if __name__ == "__main__":
    sys.exit(main())
