"""From what a workflow writes to HTML: safe, and a part at a time while it grows.

The page's items and the templates' filters import it.
"""
