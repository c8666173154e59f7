"""The peer's web UI against this server, by a stand-in that does what the real one does."""
