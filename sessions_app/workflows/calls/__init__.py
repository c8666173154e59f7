"""What a workflow calls on its context: its records, its replay, and what carries it out."""
