"""The workflows that load tests, benchmarks and the project's tests drive. Not for people.

PROBE_WORKFLOW=true offers them: `bench` is an installed application then.
"""

from bench.workflows import probe, probe_own, probe_signals

__all__ = ["probe", "probe_own", "probe_signals"]
