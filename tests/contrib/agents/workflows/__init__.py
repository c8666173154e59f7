"""The functions of the probe that are agents. Django finds this module at a server's start."""

from tests.contrib.agents.workflows import agents

__all__ = ["agents"]
