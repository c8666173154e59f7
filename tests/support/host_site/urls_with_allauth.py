"""The URLs of the project, with the sign-in of django-allauth."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("assistant/", include("chat_app.urls")),
    *staticfiles_urlpatterns(),
]
