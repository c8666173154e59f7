"""Prompts that are answered by a form. `prompts` imports it."""
