"""Agents of other frameworks, unchanged. EXAMPLE_AGENTS offers them; they need their packages."""

from natproject.workflows.agents import refunds, shop

__all__ = ["refunds", "shop"]
