"""What belongs to a prompt that is assigned to somebody, a noun per file. `models` imports it."""
