"""The cases outside of the table with the peers, one module for each.

Each module's `measure(template, directory)` starts servers of the form that the environment
selects, and returns figures by name.
"""
