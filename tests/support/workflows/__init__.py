"""The workflows with which tests and benchmarks drive a server, not meant for people."""

from tests.support.workflows import per_user, probe, signals

__all__ = ["per_user", "probe", "signals"]
