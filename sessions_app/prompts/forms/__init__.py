"""The prompts that a person answers by a form, for import by `prompts`."""
