"""Signing in: the page, and links that work once."""

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
    """A sign-in form that says when to come back after too many wrong passwords."""

    def get_invalid_login_error(self) -> ValidationError:
        refusal = self.request and refused_sign_in(self.request)
        if refusal:
            return ValidationError(str(refusal), code="too_many")
        return super().get_invalid_login_error()


class PasswordForm(PasswordChangeForm):
    """A form whose old password is checked, and counted if it is wrong, as at a sign-in."""

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
    """Make the page of a refused form a 429, after too many wrong passwords."""
    if refusal := refused_sign_in(request):
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response["Retry-After"] = str(refusal.seconds)
    return response


class SignInView(LoginView):
    """The sign-in page.

    Its template's `link_failed` is true for a person whose link did not work.
    """

    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """Return where a signed-in person is led: never to where people sign in or out.

        Django would take its own page for a loop, and fail.
        """
        url = super().get_success_url()
        own_pages = {reverse(name) for name in ("sign-in", "sign-in-link", "sign-out")}
        return self.get_default_redirect_url() if urlsplit(url).path in own_pages else url

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Show the form again, with what was typed except the password."""
        return _say_when_to_come_back(self.request, super().form_invalid(form))

    def get_context_data(self, **kwargs: object) -> JsonObject:
        return super().get_context_data(link_failed="link" in self.request.GET, **kwargs)


class SignInLinkView(SesameLoginView):  # type: ignore[misc] # sesame has no types
    """The page of a sign-in link. Its button signs in, once; then the link is used up.

    Scanners of mails and previews open links, but press no button.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show whom the link signs in, and the button."""
        user = get_user(request, update_last_login=False)
        if user is None:
            return self.login_failed()
        response = render(request, "registration/link.html", {"name": user.get_username()})
        # The token is in the address, and so in no log of what else this page asks for. The origin
        # has to be sent with the form.
        response["Referrer-Policy"] = "strict-origin"
        return response

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in, and lead to the address in the link's `next`."""
        response: HttpResponse = super().get(request)
        return response

    def login_failed(self) -> HttpResponse:
        """Show the sign-in page, which says how to get another link."""
        return HttpResponseRedirect(reverse("sign-in") + "?link=failed")


class SignOutView(LogoutView):
    """The view that ends the session, and lets the browser forget unsent drafts."""

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Sign out who is signed in, unless the form is on the page of somebody else."""
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
    """Return the URL of `path`, as people reach it."""
    return f"{settings.PUBLIC_URL}{path}"


def sign_in_url(user: User) -> str:
    """Return a link that signs `user` in: once, and within a day."""
    return site_url(reverse("sign-in-link") + get_query_string(user))
