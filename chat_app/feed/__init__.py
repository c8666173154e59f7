"""The way from the log to a client: feeds and their cursors, limits of unread data, the sweeper."""
