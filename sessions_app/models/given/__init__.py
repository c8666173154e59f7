"""What is given to a run beside its message, a noun per file, and the column that keeps JSON as it
was given. `models` imports it.
"""
