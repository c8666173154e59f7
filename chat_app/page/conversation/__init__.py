"""The page of one conversation: its log as HTML, and the forms on it."""
