"""The helpers that the views of all pages share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat_app.identity.request_facts import PERSON_HEADER, is_for_another, user_of
from chat_app.settings import ChatSettings
from sessions_app.conversations.messages import MAX_NAME
from sessions_app.errors import NotFound
from sessions_app.models.people import Person
from sessions_app.prompts import PREFIX
from sessions_app.storage.storable import is_storable

View = TypeVar("View", bound=Callable[..., Any])
# The attribute of a request with the id of the signed-in person, for the forms on the page.
PERSON_ATTRIBUTE = "person_id"


def personal(*methods: str) -> Callable[[View], View]:
    """Make an uncached view for signed-in people that accepts the given methods.

    GET includes HEAD. Requests from a page that was made for another person are refused.
    """
    if "GET" in methods:
        methods = (*methods, "HEAD")

    def decorate(view: View) -> View:
        own_view = _for_person_of_page(view)
        for_signed_in = _from_anywhere(own_view) if "GET" in methods else _for_signed_in(own_view)
        decorated_view: View = require_http_methods(methods)(never_cache(with_user(for_signed_in)))
        return decorated_view

    return decorate


def with_user(view: View) -> View:
    """Make `request.auser` return the user in `request.user`, whoever has put that user there."""

    @wraps(view)
    async def wrapped_view(request: HttpRequest, *args: Any, **names: Any) -> HttpResponse:
        await user_of(request)
        response: HttpResponse = await view(request, *args, **names)
        return response

    return cast(View, wrapped_view)


def _for_person_of_page(view: View) -> View:
    async_view = view if iscoroutinefunction(view) else sync_to_async(view)

    @wraps(view)
    async def wrapped_view(request: HttpRequest, *args: Any, **names: Any) -> HttpResponse:
        user = await request.auser()
        if not isinstance(user, AbstractBaseUser):
            raise PermissionDenied
        if refusal := refuse_another(request, user):
            return refusal
        setattr(request, PERSON_ATTRIBUTE, str(user.pk))
        response: HttpResponse = await async_view(request, *args, **names)
        return response

    return cast(View, wrapped_view)


def refuse_another(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse | None:
    """Refuse a request from another person's page; return None if the page was made for `user`.

    The status is 409, because signing in would not help.
    """
    if not is_for_another(request, user.pk, field=request.POST.get("chat_for", "")):
        return None
    reason = pgettext(
        "hitl",
        "%(who)s has signed in in this browser since this page was loaded. Copy what you wrote, "
        "and reload the page.",
    ) % {"who": user.get_username()}
    if is_script(request) or PERSON_HEADER in request.headers:
        return JsonResponse({"error": reason}, status=HTTPStatus.CONFLICT)
    return show_refused_form(request, reason, HTTPStatus.CONFLICT)


def _from_anywhere(view: View) -> View:
    """Wrap a view that is opened by links, also by those of other sites, such as in a mail.

    Browsers keep a session cookie that is `SameSite=Strict` from a link of another site. A page in
    between opens the same URL from this site, and so with the cookie.
    """
    guarded_view = login_required(view)

    @wraps(view)
    async def wrapped_view(request: HttpRequest, *args: Any, **names: Any) -> HttpResponse:
        is_cookie_kept = settings.SESSION_COOKIE_SAMESITE == "Strict" and (
            request.headers.get("Sec-Fetch-Site") == "cross-site"
            and not (await request.auser()).is_authenticated
        )
        if is_cookie_kept:
            context = {**site_context(), "url": request.get_full_path()}
            return render(request, "chat_app/from_elsewhere.html", context)
        response: HttpResponse = await guarded_view(request, *args, **names)
        return response

    return cast(View, wrapped_view)


def _for_signed_in(view: View) -> View:
    """Wrap a view that only takes forms; return the typed text to people who are signed out.

    The sign-in page would lose that text, and redirect to a URL without a page.
    """
    guarded_view = login_required(view)

    @wraps(view)
    async def wrapped_view(request: HttpRequest, *args: Any, **names: Any) -> HttpResponse:
        user = await request.auser()
        if user.is_authenticated or is_script(request):
            response: HttpResponse = await guarded_view(request, *args, **names)
            return response
        reason = pgettext(
            "hitl", "You are signed out. Copy what you wrote, sign in, and send it again."
        )
        return show_refused_form(request, reason, HTTPStatus.FORBIDDEN, page_url=_page_of(request))

    return cast(View, wrapped_view)


def show_refused_form(
    request: HttpRequest, reason: str, status: HTTPStatus, *, page_url: str = ""
) -> HttpResponse:
    """Show the typed text of a refused form, with the reason; signing in leads to `page_url`."""
    typed_text = {"reason": reason, "typed": _typed_text(request), "page_url": page_url}
    context = {**site_context(), **typed_text}
    return render(request, "chat_app/not_sent.html", context, status=status)


# Names of the page's own text fields. The fields of a prompt's form have names with PREFIX instead.
WRITTEN = ("text", "value", "note", "comment", "to", "title")


def _typed_text(request: HttpRequest) -> str:
    names = [name for name in request.POST if name in WRITTEN or name.startswith(f"{PREFIX}-")]
    values = [value for name in names for value in request.POST.getlist(name)]
    return "\n".join(filter(None, values))


def _page_of(request: HttpRequest) -> str:
    """Return the path of the page with the form, or of the home page for a foreign path."""
    url = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()})
    return urlsplit(url).path if is_ours else resolve_url("chat:home")


def is_script(request: HttpRequest) -> bool:
    """Return whether the page's script sent the request, and so gets JSON and no redirect."""
    return request.headers.get("Accept") == "application/json"


async def person_of(request: HttpRequest) -> Person:
    """Return the signed-in person of the request. `login_required` guarantees that there is one."""
    user = await request.auser()
    if not isinstance(user, AbstractBaseUser):
        raise PermissionDenied
    return Person.of(user)


def site_context() -> dict[str, str]:
    """Return the template context from the project's settings."""
    chat = ChatSettings.load()
    return {
        "base_template": chat.BASE_TEMPLATE,
        "sign_in_url": resolve_url(settings.LOGIN_URL),
        "password_url": resolve_url(chat.PASSWORD_URL) if chat.PASSWORD_URL else "",
        "sign_out_url": resolve_url(chat.SIGN_OUT_URL) if chat.SIGN_OUT_URL else "",
    }


@contextmanager
def or_404() -> Iterator[None]:
    """Turn NotFound into a 404: the object is missing, or belongs to somebody else."""
    try:
        yield
    except NotFound as error:
        raise Http404 from error


def origin_conversation(query: Mapping[str, str]) -> str:
    """Return the id of the conversation whose page opened a form; empty if none is named."""
    conversation_id = query.get("here", "")[:MAX_NAME]
    return conversation_id if is_storable(conversation_id) else ""


def see_other(to: str, *args: object) -> HttpResponse:
    """Redirect with "see other", so that a reload of the page repeats no form."""
    response = redirect(to, *args)
    response.status_code = HTTPStatus.SEE_OTHER
    return response


def done(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Confirm a form: 204 for the script, else a redirect to the conversation's page."""
    return HttpResponse(status=204) if is_script(request) else back_to(conversation_id)


def back_to(conversation_id: str) -> HttpResponse:
    """Redirect to the page of a conversation after its form was handled."""
    return see_other("chat:conversation", conversation_id)
