"""The hosting of runs: a host takes the lease of a key, and drives its runs by their journals.

`dispatch` assigns keys to processes, and is the top module of this package. Only `lifecycle` and
packages above `lifecycle` import this one.
"""
