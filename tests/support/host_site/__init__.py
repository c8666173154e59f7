"""A project with exchangeable settings: one line of `lines.py` changes them."""
