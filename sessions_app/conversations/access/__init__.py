"""Who may do what: use a workflow, answer a prompt that was assigned to somebody."""
