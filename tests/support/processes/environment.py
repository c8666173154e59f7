"""The environment of the processes of a server."""

import os
from collections.abc import Mapping
from pathlib import Path

from chat_app.settings import ChatSettings
from tests.support.core_only import CORE_ONLY
from tests.support.running_form import CLUSTER

ROOT = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"
NO_LIMITS = {
    **{name: "none" for name in ChatSettings.model_fields if name.startswith("RATE_")},
    **{name: "1000000" for name in ChatSettings.model_fields if name.startswith("STREAMS_")},
    "RUNS_PER_USER": "0",
    **({} if CORE_ONLY else {"RATE_CONSENTS_USER": "none"}),
}


# Variables that make child processes measure coverage, if this process is measured.
COVERAGE = {name: text for name, text in os.environ.items() if name == "COVERAGE_PROCESS_CONFIG"}


def environment(data_dir: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a child process, without a developer's variables."""
    return {
        **COVERAGE,
        **({"CORE_ONLY": "1"} if CORE_ONLY else {}),
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "DJANGO_SETTINGS_MODULE": "tests.support.settings",
        "PYTHONUNBUFFERED": "1",
        "HOST": HOST,
        "DATA_DIR": str(data_dir),
        "FILES_DIR": str(data_dir / "files"),  # shared by all processes of a cluster
        "SECRET_KEY": "only-for-tests-" + "x" * 50,
        "WORKFLOWS_FILE": str(Path(__file__).with_name("workflows.yaml")),
        "PROBE_LOG": str(data_dir / "probe.log"),
        # Lift rate limits: a test's clients share an address, and its user does more than people
        # do.
        **NO_LIMITS,
        **extra,
    }


# Variables that differ between servers.
_OWN = {"DATA_DIR", "FILES_DIR", "PORT", "PROBE_LOG", "DATABASE_URL", "REDIS_URL"}
# Variables that the application reads only when it needs them.
_LATER = {"PARK_AFTER", "MAX_BLOCKING"}


def is_usual(env: Mapping[str, str]) -> bool:
    """Return whether a process in this environment can be forked from the loaded application."""
    form = {bool(env.get(name)) for name in ("DATABASE_URL", "REDIS_URL")}
    return form == {CLUSTER} and _shared_variables(env) == _shared_variables(environment(ROOT))


def _shared_variables(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in _OWN | _LATER}
