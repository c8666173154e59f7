"""The chat page: what it shows, read from the log, and its forms."""
