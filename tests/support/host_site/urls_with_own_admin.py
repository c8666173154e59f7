"""The URLs of the project, with the admin under another path."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("office/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
    path("assistant/", include("chat_app.urls")),
    *staticfiles_urlpatterns(),
]
