"""The reasons why somebody is not let in. For clients: they name no user and no secret."""


class BadCredentials(Exception):
    """The error that credentials are wrong."""

    close_code = 4401


class NotAllowed(BadCredentials):
    """The error that credentials are right, but their owner may not come in here."""

    close_code = 4403
