"""The journal of a run: a record of each call, with which a replay compares its own calls."""
