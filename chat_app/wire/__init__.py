"""The messages of the socket, both ways: parsed and checked, made from events, as a schema.

Nothing here waits or touches a connection. All that speaks to clients imports it.
"""
