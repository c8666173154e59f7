"""Tests of configurations of the NeMo Agent Toolkit, which `make test-nat` runs in an
environment of their own.
"""
