"""URLs of the project; those of the chat are in `chat_app.urls`."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from natproject.sign_in import SignInLinkView, SignInView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-in/link/", SignInLinkView.as_view(), name="sign-in-link"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("", include("chat_app.urls")),
]
