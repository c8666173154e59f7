"""The pool of a workflow: its builders, the slots of its runs, and the execution of a run.

Hosting and `replay` open workflows here; the session API (`sessions`) is a façade.
"""
