"""The URLs of the project, according to its settings."""

from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from tests.support.host_site import parts, settings

chat = path(settings.CHAT_PATH, include("chat_app.urls"))
urlpatterns = [
    path(settings.ADMIN_PATH, admin.site.urls),
    path("accounts/", include(settings.ACCOUNT_URLS)),
    path("words/", parts.words),
    *staticfiles_urlpatterns(),
    *(i18n_patterns(chat) if settings.BY_LANGUAGE else [chat]),
]
if "debug_toolbar" in settings.INSTALLED_APPS:
    urlpatterns += [path("__debug__/", include("debug_toolbar.urls"))]
if settings.OWN_ERROR_PAGES:
    handler404 = "tests.support.host_site.parts.not_found"
    handler500 = "tests.support.host_site.parts.broken"
