"""The workflows that tests and benchmarks drive. Not for people."""

from tests.support.workflows import per_user, probe, signals

__all__ = ["per_user", "probe", "signals"]
