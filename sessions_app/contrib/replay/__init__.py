"""The application of replays, which check recorded runs against the current code."""
