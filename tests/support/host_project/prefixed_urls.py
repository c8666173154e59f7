"""URLs of a project that has the chat under a prefix, and neither an admin nor a sign-out."""

from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("accounts/login/", LoginView.as_view()),
    path("assistant/", include("chat_app.urls")),
]
