"""URLs of a project with the chat under a prefix, and without an admin and a sign-out page."""

from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("accounts/login/", LoginView.as_view()),
    path("assistant/", include("chat_app.urls")),
]
