"""One client's WebSocket: its life, its person, and what each message does. `asgi` imports it."""
