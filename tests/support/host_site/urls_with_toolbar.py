"""The URLs of the project, with django-debug-toolbar."""

from django.urls import include, path

from tests.support.host_site import urls

urlpatterns = [*urls.urlpatterns, path("__debug__/", include("debug_toolbar.urls"))]
