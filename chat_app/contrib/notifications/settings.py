"""The notification section of the project's `HITL` settings."""

from typing import Literal, Self

from pydantic import Field, model_validator

from chat_app.settings import SiteSettings, WebAddress


class NotificationSettings(SiteSettings):
    """The settings of who is told that a question waits."""

    secrets = frozenset({"WEBHOOK_SECRET"})

    MAIL: Literal["", "off", "now", "daily"] = Field(
        default="",
        description="when people who have not chosen get mail: off, now or daily; empty for no "
        "mail. They choose at /settings/mail/, which is there unless this is empty",
    )
    WEBHOOK_URL: WebAddress = Field(
        default="",
        description="a URL that gets a POST for each question that is asked, assigned or settled. "
        "See docs/notifications.md#webhook",
    )
    WEBHOOK_SECRET: str = Field(
        default="",
        description="the secret that signs these requests: whsec_ and base64, or any text",
    )

    @model_validator(mode="after")
    def _notices_are_complete(self) -> Self:
        if self.MAIL and not self.known_url:
            raise ValueError("PUBLIC_URL is missing: mails contain links to the questions.")
        if self.WEBHOOK_URL and not (self.WEBHOOK_SECRET and self.known_url):
            raise ValueError("WEBHOOK_URL needs WEBHOOK_SECRET and PUBLIC_URL beside it.")
        return self
