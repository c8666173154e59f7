"""Runs over HTTP: the same submissions, answers and log as on the socket, by other words."""
