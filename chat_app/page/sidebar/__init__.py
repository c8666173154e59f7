"""The list of a person's conversations, beside each page."""
