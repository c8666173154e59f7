"""URLs of the project; those of the chat are in `chat_app.urls`."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from natproject.sign_in import PasswordView, SignInLinkView, SignInView, SignOutView

# The admin uses the project's sign-in page, which explains refused passwords.
admin.site.login = login_required(admin.site.login)  # type: ignore[method-assign] # Django's way

handler400 = "chat_app.api.problems.bad_request"
handler404 = "chat_app.api.problems.not_found"
handler500 = "chat_app.page.error_pages.server_error"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-in/link/", SignInLinkView.as_view(), name="sign-in-link"),
    path("sign-out/", SignOutView.as_view(), name="sign-out"),
    path("password/", PasswordView.as_view(), name="password"),
    # Browsers request this icon for pages without an icon of their own, such as the admin's.
    path("favicon.ico", RedirectView.as_view(url=static("chat_app/icon.svg"))),
    path("", include("chat_app.urls")),
]
