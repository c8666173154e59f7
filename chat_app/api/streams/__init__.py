"""Runs as streams of server-sent events. The views of the interface import it."""
