"""The way from the log to a client: feeds with their cursors, limits of unread data, the sweeper.

The socket and the HTTP interface import it.
"""
