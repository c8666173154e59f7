"""Looks at a deployment from end to end, and says what is wrong and what to do.

The `doctor` command imports it.
"""
