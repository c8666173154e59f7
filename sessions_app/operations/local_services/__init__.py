"""A PostgreSQL and a Redis for this machine, from wheels: for trying the cluster form, and tests.

It imports nothing of the runtime.
"""
