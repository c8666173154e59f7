"""The look at a deployment from end to end, which says what is wrong and what to do.

The command `doctor` and Django's `check --deploy` run it.
"""
