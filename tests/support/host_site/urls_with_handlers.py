"""The URLs of the project, with error pages of its own."""

from tests.support.host_site.urls import urlpatterns

__all__ = ["urlpatterns"]

handler404 = "tests.support.host_site.parts.not_found"
handler500 = "tests.support.host_site.parts.broken"
