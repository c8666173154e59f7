"""The journal of a run: what is recorded of each call, and what replay compares it with."""
