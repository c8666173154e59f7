"""The rows of consents to act for a person elsewhere."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class OAuthGrant(models.Model):
    """A person's consent that workflows act for them at a provider. Its tokens are encrypted."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    # A name of OAUTH_PROVIDERS.
    provider = models.CharField(max_length=50, verbose_name=_("provider"))
    scopes = models.JSONField(verbose_name=_("scopes"))
    # See `chat_app.contrib.oauth.tokens`.
    tokens = models.TextField()
    # Of the access token; None where the provider does not say.
    expires_at = models.DateTimeField(null=True, blank=True, verbose_name=_("expires"))
    created_at = models.DateTimeField(verbose_name=_("given"))
    last_used_at = models.DateTimeField(null=True, blank=True, verbose_name=_("last used"))
    # One process refreshes the tokens until then, and nobody else: a provider that takes a refresh
    # token once would take a second use for a theft.
    refreshing_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("OAuth grant")
        verbose_name_plural = _("OAuth grants")
        constraints = (
            models.UniqueConstraint(fields=["user", "provider"], name="oauth_grant_unique"),
        )

    def __str__(self) -> str:
        return f"{self.provider} of {self.user}"


class OAuthRequest(models.Model):
    """A person's way to a provider and back: there from when they leave until they come back."""

    # SHA-256 of the `state`, which the person's browser has.
    state = models.CharField(max_length=64, unique=True)
    # Of PKCE, encrypted.
    verifier = models.TextField()
    # The prompt that is settled by it. Not a key: the row lasts an hour in any case.
    interaction = models.UUIDField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    provider = models.CharField(max_length=50)
    scopes = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.provider} for {self.interaction}"
