"""Agents: their loop, their tools, and the approvals of tool calls."""
