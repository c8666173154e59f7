"""The URLs of the project, with the chat at its root."""

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from tests.support.host_site.urls import own_urls

urlpatterns = [*own_urls, *staticfiles_urlpatterns(), path("", include("chat_app.urls"))]
