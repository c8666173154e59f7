"""The work beside the runs: start and stop, what falls due, reports, retention.

Front ends' servers, commands and the admin import it; nothing of the runtime below it does.
"""
