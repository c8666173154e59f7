"""Prompts answered by a form, for import by `prompts`."""
