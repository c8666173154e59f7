"""Driving runs: a host owns a key, takes its lease, and drives the key's runs by their journals.

`dispatch` assigns keys to processes, and is the top module of this package. Only `lifecycle` and
packages above `lifecycle` import this one.
"""
