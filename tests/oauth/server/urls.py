"""The addresses of the OAuth server: those of the package, a sign-in, and an API."""

import json
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import include, path
from oauth2_provider.views import TokenView
from oauth2_provider.views.generic import ScopedProtectedResourceView


def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in whoever comes: the tests are about what follows."""
    user, _ = User.objects.get_or_create(username="octo")
    login(request, user)
    return HttpResponseRedirect(request.GET["next"])


class CommaTokens(TokenView):  # type: ignore[misc] # the package has no types
    """The token endpoint as some providers have it, with commas between the scopes."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Return the tokens."""
        response: HttpResponse = super().post(request)
        tokens = json.loads(response.content)
        return JsonResponse({**tokens, "scope": tokens["scope"].replace(" ", ",")})


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
    path("commas/token/", CommaTokens.as_view()),
    path("", include("oauth2_provider.urls")),
]
