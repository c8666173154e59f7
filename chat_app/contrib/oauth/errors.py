"""Everything that the consent of people raises. The docstring is the message."""

from sessions_app.errors import SessionsError


class ConsentError(SessionsError):
    """A workflow may not act for its person at a provider."""


class ConsentDeclined(ConsentError):
    """The person does not want a workflow to act for them at a provider."""

    def __init__(self, title: str) -> None:
        super().__init__(f"The person has declined to connect their account at {title}.")


class ConsentGone(ConsentError):
    """A consent was revoked, or has ended."""

    def __init__(self, provider: str) -> None:
        super().__init__(
            f"The consent for {provider!r} was revoked or has ended. Call access_token() again: it "
            "asks the person anew."
        )


class NoConsentOfGuests(ConsentError):
    """A guest cannot connect an account: whoever has their link could be it. Let people sign in."""


class ProviderUnavailable(ConsentError):
    """A provider does not answer, or not as OAuth has it."""

    def __init__(self, title: str, reason: str) -> None:
        super().__init__(f"{title} cannot be asked for a token now ({reason}).")


class ProviderRefused(ConsentError):
    """A provider answered with an error. `code` is OAuth's, such as `invalid_grant`."""

    def __init__(self, title: str, code: str) -> None:
        super().__init__(f"{title} gives no token ({code}).")
        self.code = code
