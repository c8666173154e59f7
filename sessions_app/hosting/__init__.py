"""Driving runs: a host owns a key, takes its lease, and drives the key's runs by their journals.

`dispatch` gives keys to processes. Only `dispatch` and what stands above it import this.
"""
