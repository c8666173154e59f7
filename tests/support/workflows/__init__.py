"""The workflows that tests and benchmarks drive. Not for people."""

from tests.support.workflows import own, probe, signals

__all__ = ["own", "probe", "signals"]
