"""Driving runs: a host owns a key, takes its lease, and drives the key's runs by their journals.

`dispatch` gives keys to processes, and stands above the other modules. Only `lifecycle`, and what
stands above it, imports this.
"""
