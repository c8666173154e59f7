"""URLs of consents and connected accounts, below those of the chat."""

from django.urls import path

from chat_app.contrib.oauth import views

urlpatterns = [
    path("settings/accounts/", views.accounts, name="accounts"),
    path("oauth/<uuid:run>/<slug:nonce>/", views.redirect_to_provider, name="consent"),
    path("oauth/<slug:provider>/", views.come_back, name="consent_callback"),
]
