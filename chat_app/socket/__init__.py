"""The WebSocket of one client: its connection, its identity, and its subscriptions."""
