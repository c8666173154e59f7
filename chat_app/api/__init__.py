"""Runs over HTTP: the same messages, answers and log as on the socket. `urls` imports it."""
