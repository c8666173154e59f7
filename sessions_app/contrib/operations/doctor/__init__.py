"""The checks of a deployment from end to end, each with findings and remedies.

The command `doctor` and Django's `check --deploy` run the checks.
"""
