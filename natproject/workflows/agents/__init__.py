"""Agents with packages of their own, of other frameworks unchanged. EXAMPLE_AGENTS offers them."""

from natproject.workflows.agents import refunds, shop, travel

__all__ = ["refunds", "shop", "travel"]
