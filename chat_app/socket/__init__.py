"""The WebSocket of one client: its life, its person, and what each message does."""
