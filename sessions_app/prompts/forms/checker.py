"""The program that checks JSON schemas, and values against schemas, in a separate process.

A schema from elsewhere can take seconds, or all memory. Python cannot interrupt its evaluation, but
a process can be killed. The program imports nothing of the project, and so starts quickly.
"""

import json
import resource
import signal
import sys
from contextlib import suppress
from itertools import product
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from jsonschema_rs import (
    Draft202012Validator,
    FancyRegexOptions,
    RegexOptions,
    ValidationError,
    ValidationErrorKind,
    Validator,
    validator_for,
)

MEMORY = 1 << 30  # maximum bytes of memory (address space) of this process
MOST_PROBLEMS = 100
MAX_PROBLEM_LENGTH = 300  # maximum characters of an error message

# Formats not checked by this program, but by the form's field or the tool. Schemas use them for
# values that the standards forbid, such as a time without a zone, or an address with umlauts.
LENIENT = {
    *("date-time", "time", "duration", "uri", "uri-reference", "iri", "iri-reference"),
    *("uri-template", "hostname", "idn-hostname"),
}
OPTIONS: dict[str, Any] = {
    "offline": True,  # do not follow references to other documents
    "validate_formats": True,
    "formats": dict.fromkeys(LENIENT, lambda _: True),
}
# The first regex engine takes linear time. Patterns with a look-around or a back-reference, which
# libraries use for email addresses, need the second engine, with a bounded number of steps.
ENGINES: tuple[RegexOptions | FancyRegexOptions, ...] = (
    RegexOptions(),
    FancyRegexOptions(backtrack_limit=10_000),
)


def main(descriptor: int) -> None:
    """Answer each request of the server with the problems found, until the server ends.

    A request is a schema and perhaps a value, each as JSON, and the seconds of processor time after
    which the kernel kills this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ignore Ctrl-C: it is for the server
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the timer kills C code, too
    with suppress(ValueError, OSError):  # go on if a limit is unsupported or already lower
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        connection.send_bytes(b"ready")
        while True:
            schema, value, seconds = connection.recv()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            problems = check(schema, value)
            reply = json.dumps(problems).encode()
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send_bytes(reply)


def check(schema: str, value: str | None) -> dict[str, str]:
    """Return a value's problems by property or index; a schema's problem is under ""."""
    validator, problem = _compile(schema)
    if validator is None:
        return {"": problem}
    return {} if value is None else _value_problems(validator, value)


def _compile(schema: str) -> tuple[Validator | None, str]:
    """Compile a schema by the newest JSON Schema draft, else by the draft that the schema names."""
    problem = ""
    for compile_schema, engine in product((Draft202012Validator, validator_for), ENGINES):
        try:
            return compile_schema(schema, pattern_options=engine, **OPTIONS), ""
        except ValidationError as error:
            problem = _schema_problem(error)
        except ValueError as error:
            problem = str(error)[:MAX_PROBLEM_LENGTH]
    return None, problem


def _schema_problem(error: ValidationError) -> str:
    kind = error.kind
    path = "/".join(map(str, error.instance_path))[:MAX_PROBLEM_LENGTH]
    if isinstance(kind, ValidationErrorKind.Format) and kind.format == "regex":
        return (
            f"the pattern at {path} is none that can be used: it is not a regular expression, or "
            "too large"
        )
    return (
        f"{error.message[:MAX_PROBLEM_LENGTH]} (at {path})"
        if path
        else error.message[:MAX_PROBLEM_LENGTH]
    )


def _value_problems(validator: Validator, text: str) -> dict[str, str]:
    try:
        value = json.loads(text, parse_constant=_refuse)
        if validator.is_valid(value):
            return {}
        errors = list(validator.iter_errors(value))
    except (ValueError, RecursionError) as error:
        return {"": str(error)[:MAX_PROBLEM_LENGTH]}
    problems: dict[str, str] = {}
    for one in errors[:MOST_PROBLEMS]:
        name = str(one.instance_path[0]) if one.instance_path else ""
        problems.setdefault(name, one.message[:MAX_PROBLEM_LENGTH])
    return problems


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"JSON has no number {number}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
