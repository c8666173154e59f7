"""The delivery of the log to clients: feeds and cursors, limits of unread data, the sweeper."""
