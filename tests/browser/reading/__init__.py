"""What it is like to read: long answers, long conversations, code, any script."""
