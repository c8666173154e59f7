"""The journal of a run: the record of each call, and the comparison with it on replay."""
