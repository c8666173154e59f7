"""URLs of consents and connected accounts, below those of the chat."""

from django.urls import path

from chat_app.contrib.oauth import account_views, consent_views

urlpatterns = [
    path("settings/accounts/", account_views.accounts, name="accounts"),
    path("oauth/<uuid:run>/<slug:nonce>/", consent_views.leave, name="consent"),
    path("oauth/<slug:provider>/", consent_views.come_back, name="consent_callback"),
]
