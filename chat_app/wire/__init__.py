"""The messages of the socket, both ways: checks of clients' messages, frames, and the schema.

Nothing here waits or touches a connection. All that speaks to clients imports it.
"""
