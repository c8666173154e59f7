"""The reasons why somebody is not let in. For clients: they name no user and no secret."""


class BadCredentials(Exception):
    """Credentials were given, and they are wrong."""

    close_code = 4401


class NotAllowed(BadCredentials):
    """The credentials are right, and whoever they belong to may not come in here."""

    close_code = 4403
