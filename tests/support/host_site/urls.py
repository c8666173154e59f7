"""The URLs of the project."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

own_urls = [
    path("admin/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
]
urlpatterns = [
    *own_urls,
    path("assistant/", include("chat_app.urls")),
    *staticfiles_urlpatterns(),
]
