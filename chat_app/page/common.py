"""What the views of the pages have in common."""

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url

from chat_app.settings import ChatSettings
from sessions_app.models.people import Person


async def person_of(request: HttpRequest) -> Person:
    """Who is signed in; `login_required` has seen to it that someone is."""
    user = await request.auser()
    if not isinstance(user, AbstractBaseUser):
        raise PermissionDenied
    return Person.of(user)


def site_context() -> dict[str, str]:
    """What a page takes from the project it is in."""
    chat = ChatSettings.load()
    return {
        "base_template": chat.BASE_TEMPLATE,
        "sign_in_url": resolve_url(settings.LOGIN_URL),
        "password_url": resolve_url(chat.PASSWORD_URL) if chat.PASSWORD_URL else "",
        "sign_out_url": resolve_url(chat.SIGN_OUT_URL) if chat.SIGN_OUT_URL else "",
    }


def back_to(conversation_id: str) -> HttpResponse:
    """See other: a reload of the page repeats no form."""
    response = redirect("chat:conversation", conversation_id)
    response.status_code = 303
    return response
