"""The way from a workflow's text to HTML: safe, and a part at a time while it grows."""
