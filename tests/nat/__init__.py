"""Tests of hosted configurations of the NeMo Agent Toolkit.

`make test-nat` runs them in an environment of their own.
"""
