"""The helpers that the views of all pages share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat_app.settings import ChatSettings
from sessions_app.conversations.messages import MAX_NAME
from sessions_app.errors import NotFound
from sessions_app.models.people import Person
from sessions_app.storage.storable import is_storable

View = TypeVar("View", bound=Callable[..., Any])


def personal(*methods: str) -> Callable[[View], View]:
    """Make a view for signed-in people, with these methods, that no cache keeps.

    GET takes HEAD, too.
    """
    if "GET" in methods:
        methods = (*methods, "HEAD")

    def decorate(view: View) -> View:
        decorated_view: View = require_http_methods(methods)(never_cache(login_required(view)))
        return decorated_view

    return decorate


async def person_of(request: HttpRequest) -> Person:
    """Return the signed-in person; `login_required` has seen to it that there is one."""
    user = await request.auser()
    if not isinstance(user, AbstractBaseUser):
        raise PermissionDenied
    return Person.of(user)


def site_context() -> dict[str, str]:
    """Return what a page takes from the project it is in."""
    chat = ChatSettings.load()
    return {
        "base_template": chat.BASE_TEMPLATE,
        "sign_in_url": resolve_url(settings.LOGIN_URL),
        "password_url": resolve_url(chat.PASSWORD_URL) if chat.PASSWORD_URL else "",
        "sign_out_url": resolve_url(chat.SIGN_OUT_URL) if chat.SIGN_OUT_URL else "",
    }


@contextmanager
def or_404() -> Iterator[None]:
    """Turn NotFound into a 404: what is not there, or is not theirs."""
    try:
        yield
    except NotFound as error:
        raise Http404 from error


def origin_conversation(query: Mapping[str, str]) -> str:
    """Return the conversation from whose page a form was opened; empty if it names none."""
    conversation_id = query.get("here", "")[:MAX_NAME]
    return conversation_id if is_storable(conversation_id) else ""


def back_to(conversation_id: str) -> HttpResponse:
    """Redirect with "see other", so that a reload of the page repeats no form."""
    response = redirect("chat:conversation", conversation_id)
    response.status_code = 303
    return response
