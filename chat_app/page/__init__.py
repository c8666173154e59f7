"""The chat page: contents read from the log, and the forms."""
