"""The work of a process besides its runs: start and stop, due events, reports, retention.

Front ends' servers, commands and the admin import this package; the runtime below does not.
"""
