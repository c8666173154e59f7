"""`make cluster`: a whole cluster on one machine, from Python packages only."""
