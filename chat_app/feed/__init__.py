"""From the log to a client: feeds with their cursors, limits on what is unread, and the sweeper.

The socket and the HTTP interface import it.
"""
