"""The sign-in page, and sign-in links that work once."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from sesame.utils import get_query_string, get_user
from sesame.views import LoginView as SesameLoginView

from chat_app.identity.sign_in import refused_sign_in
from chat_app.page.common import refuse_another, site_context
from sessions_app.json_types import JsonObject


class SignInForm(AuthenticationForm):
    """A sign-in form that gives the waiting time after too many wrong passwords."""

    def get_invalid_login_error(self) -> ValidationError:
        refusal = self.request and refused_sign_in(self.request)
        if refusal:
            return ValidationError(str(refusal), code="too_many")
        return super().get_invalid_login_error()


class PasswordForm(PasswordChangeForm):
    """A form that checks the old password, and counts wrong ones, as at a sign-in."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    @sensitive_variables("old_password")
    def clean_old_password(self) -> str:
        old_password: str = self.cleaned_data["old_password"]
        username = self.user.get_username()
        user = authenticate(self.request, username=username, password=old_password)
        if refusal := refused_sign_in(self.request):
            raise ValidationError(str(refusal), code="too_many")
        if user != self.user:
            raise ValidationError(self.error_messages["password_incorrect"])
        return old_password


def _say_when_to_come_back(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Set status 429 and the header Retry-After if there were too many wrong passwords."""
    if refusal := refused_sign_in(request):
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response["Retry-After"] = str(refusal.seconds)
    return response


class SignInView(LoginView):
    """The sign-in page; the template's `link_failed` is true after an invalid link."""

    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """Return the URL after a sign-in, never one for signing in or out.

        Django takes a redirect to the sign-in page for a loop, and fails.
        """
        url = super().get_success_url()
        own_pages = {reverse(name) for name in ("sign-in", "sign-in-link", "sign-out")}
        return self.get_default_redirect_url() if urlsplit(url).path in own_pages else url

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Show the form again, with all typed values except the password."""
        return _say_when_to_come_back(self.request, super().form_invalid(form))

    def get_context_data(self, **kwargs: object) -> JsonObject:
        return super().get_context_data(link_failed="link" in self.request.GET, **kwargs)


class SignInLinkView(SesameLoginView):  # type: ignore[misc] # sesame has no types
    """The page of a sign-in link, with a button that signs in and uses up the link.

    A button is needed because mail scanners and previews open links, but press no button.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the link's user name, and the button."""
        user = get_user(request, update_last_login=False)
        if user is None:
            return self.login_failed()
        response = render(request, "registration/link.html", {"name": user.get_username()})
        # The URL contains the token, which must not reach other logs through the Referer header.
        # The form's CSRF check still needs the origin.
        response["Referrer-Policy"] = "strict-origin"
        return response

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in, and redirect to the address in the link's `next`."""
        response: HttpResponse = super().get(request)
        return response

    def login_failed(self) -> HttpResponse:
        """Redirect to the sign-in page, which explains how to get another link."""
        return HttpResponseRedirect(reverse("sign-in") + "?link=failed")


class SignOutView(LogoutView):
    """The view that ends the session, and clears unsent drafts in the browser."""

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Sign out, unless the form comes from a page of a different user."""
        user = request.user
        if user.is_authenticated and (refusal := refuse_another(request, user)):
            return refusal
        response = super().post(request, *args, **kwargs)
        response["Clear-Site-Data"] = '"storage"'
        return response


class PasswordView(PasswordChangeView):
    """The view that changes one's own password, and ends one's other sessions."""

    form_class = PasswordForm
    template_name = "registration/password.html"
    success_url = settings.LOGIN_REDIRECT_URL

    def get_form_kwargs(self) -> JsonObject:
        return super().get_form_kwargs() | {"request": self.request}

    def get_context_data(self, **kwargs: object) -> JsonObject:
        return super().get_context_data(**site_context(), **kwargs)

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        return _say_when_to_come_back(self.request, super().form_invalid(form))


def site_url(path: str = "/") -> str:
    """Return the public URL of `path`."""
    return f"{settings.PUBLIC_URL}{path}"


def sign_in_url(user: User) -> str:
    """Return a link that signs `user` in: once, and within a day."""
    return site_url(reverse("sign-in-link") + get_query_string(user))
