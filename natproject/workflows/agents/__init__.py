"""Agents that need extra packages, some of other frameworks, offered if EXAMPLE_AGENTS is set."""

from natproject.workflows.agents import refunds, shop, travel

__all__ = ["refunds", "shop", "travel"]
