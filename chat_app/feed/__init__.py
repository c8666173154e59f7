"""The way from the log to a client: feeds with their cursors, limits of unread data, the sweeper.

The socket, the HTTP interface, the page and plain clients import it.
"""
