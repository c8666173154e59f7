"""The page of one conversation: the log as HTML, and the forms."""
