"""The addresses of the OAuth server: those of the package, a sign-in, and an API."""

import json
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import include, path
from oauth2_provider.views import TokenView
from oauth2_provider.views.generic import ScopedProtectedResourceView

from tests.support.gzip_bomb import bomb

BOMB = bomb(300)


def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in whoever comes: the tests are about what follows."""
    user, _ = User.objects.get_or_create(username="octo")
    login(request, user)
    return HttpResponseRedirect(request.GET["next"])


class OddTokens(TokenView):  # type: ignore[misc] # the package has no types
    """The token endpoint as some providers have it, odd in one way or another."""

    def post(self, request: HttpRequest, oddity: str) -> HttpResponse:
        """Return the tokens."""
        response: HttpResponse = super().post(request)
        tokens = json.loads(response.content)
        scopes = tokens["scope"].split()
        changes: dict[str, dict[str, object]] = {
            "commas": {"scope": ",".join(scopes)},
            "list": {"scope": scopes},
            "silent": {"scope": " ".join(one for one in scopes if one != "offline_access")},
            "long": {"id_token": "a" * 10_000},
            "words": {"expires_at": "soon", "expires_in": None},
        }
        return JsonResponse({**tokens, **changes[oddity]})


def list_of_nothing(request: HttpRequest) -> HttpResponse:
    """Return JSON that is no object."""
    return JsonResponse([1], safe=False)


def send_bomb(request: HttpRequest) -> HttpResponse:
    """Return what is small on the wire and would fill the memory."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    return HttpResponse(BOMB, headers=headers)


def lead_elsewhere(request: HttpRequest, to: str) -> HttpResponse:
    """Redirect to another address of the server, with the method and the body as they are."""
    return HttpResponse(status=307, headers={"Location": f"/{to}"})


class Notes(ScopedProtectedResourceView):  # type: ignore[misc] # as above
    """The API: what a token of the scope `read` is for."""

    required_scopes = ("read",)

    def get(self, request: Any) -> HttpResponse:
        """Return whose notes they are."""
        return JsonResponse({"notes_of": str(request.resource_owner)})


class Issues(ScopedProtectedResourceView):  # type: ignore[misc] # as above
    """The API of the example in the document."""

    required_scopes = ("repo",)

    def get(self, request: HttpRequest, repository: str) -> HttpResponse:
        """Return the issues of a repository."""
        return JsonResponse([{"title": "First"}, {"title": "Second"}], safe=False)


urlpatterns = [
    path("repos/<path:repository>/issues", Issues.as_view()),
    path("login/", sign_in),
    path("api/notes/", Notes.as_view()),
    path("<oddity>/token/", OddTokens.as_view()),
    path("list/", list_of_nothing),
    path("bomb/", send_bomb),
    path("moved/<path:to>", lead_elsewhere),
    path("", include("oauth2_provider.urls")),
]
