"""The hosting of runs: a host takes a key's lease, and executes the key's runs with a journal.

`dispatch` assigns keys to processes, and is the top module of this package. Only `lifecycle` and
packages above `lifecycle` import this one.
"""
