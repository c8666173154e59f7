"""The HTTP API of runs: the same messages, answers and log as on the socket. `urls` imports it."""
