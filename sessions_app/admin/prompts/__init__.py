"""Prompts: what was asked, of whom, and what happened to it."""
