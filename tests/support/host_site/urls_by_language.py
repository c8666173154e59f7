"""The URLs of the project, with the chat below a language."""

from django.conf.urls.i18n import i18n_patterns
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from tests.support.host_site.urls import own_urls

urlpatterns = [
    *own_urls,
    *i18n_patterns(path("assistant/", include("chat_app.urls"))),
    *staticfiles_urlpatterns(),
]
