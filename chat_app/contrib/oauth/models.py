"""The rows of consents to act for a person elsewhere."""

from django.conf import settings
from django.db import models
from django.utils.translation import pgettext_lazy


class OAuthGrant(models.Model):
    """A person's consent that workflows act for them at a provider. Its tokens are encrypted."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=pgettext_lazy("hitl", "user"),
    )
    # Provider: a name of OAUTH_PROVIDERS.
    provider = models.CharField(max_length=50, verbose_name=pgettext_lazy("hitl", "provider"))
    scopes = models.JSONField(verbose_name=pgettext_lazy("hitl", "scopes"))
    # Encrypted tokens, see `chat_app.contrib.oauth.tokens`.
    tokens = models.TextField()
    # Expiry of the access token; None if the provider does not state an expiry.
    expires_at = models.DateTimeField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "expires")
    )
    created_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "given"))
    last_used_at = models.DateTimeField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "last used")
    )
    # Lease of the one process that refreshes the tokens: a provider with single-use refresh tokens
    # would treat a second use as a theft.
    refreshing_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("hitl", "OAuth grant")
        verbose_name_plural = pgettext_lazy("hitl", "OAuth grants")
        constraints = (
            models.UniqueConstraint(fields=["user", "provider"], name="oauth_grant_unique"),
        )

    def __str__(self) -> str:
        return f"{self.provider} of {self.user}"


class OAuthRequest(models.Model):
    """The state of a person's visit to a provider's page, kept until the person returns."""

    # SHA-256 of the OAuth parameter `state`; the person's browser has the parameter itself.
    state = models.CharField(max_length=64, unique=True)
    # Encrypted PKCE verifier.
    verifier = models.TextField()
    # Prompt that the consent settles. No foreign key is needed, as the row lasts only an hour.
    interaction = models.UUIDField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    provider = models.CharField(max_length=50)
    scopes = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.provider} for {self.interaction}"
