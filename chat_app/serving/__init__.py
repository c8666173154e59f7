"""The web server: it starts the runtime before it serves, and stops it before it ends."""
