"""A project of somebody else, whose settings one line of `lines.py` changes."""
