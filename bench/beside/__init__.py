"""The cases outside of the table with the peers, one per module.

Each module's `measure(template, directory)` starts servers of the form that the environment
selects, and returns figures by name.
"""
