"""The page of opening hours, for people who are signed in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from chat_app.page.common import personal, site_context


@personal("GET")
async def hours(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/hours.html", site_context())
