"""Databases of released versions, with runs that wait: each later version goes on with them.

`python -m tests.released` records a new version in one form (see `__main__.py`).
"""
