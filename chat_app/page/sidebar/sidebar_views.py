"""The forms of the list's menu. They work without the script."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from chat_app.page.common import (
    back_to,
    or_404,
    origin_conversation,
    person_of,
    personal,
    site_context,
)
from chat_app.page.sidebar.sidebar_entries import title_of
from chat_app.wire.parsing import STATUS
from sessions_app.conversations import listing
from sessions_app.errors import Refused, StorageUnavailable
from sessions_app.storage import reads


@personal("GET", "POST")
async def rename(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Ask for another title; refused, what was typed stays in its field."""
    person = await person_of(request)
    title = await reads.read_for(person.id, title_of, person.id, conversation_id)
    if title is None:
        raise Http404
    error, status = "", 200
    if request.method == "POST":
        title = request.POST.get("title", "")
        try:
            with or_404():  # it may be gone meanwhile
                await listing.rename(owner=person.id, conversation_id=conversation_id, title=title)
            return back_to(conversation_id)
        except (Refused, StorageUnavailable) as refused:
            error, status = str(refused), STATUS[type(refused)]
    context = {
        **site_context(),
        "conversation_id": conversation_id,
        "title": title,
        "error": error,
        "longest_title": listing.MAX_TITLE,
    }
    return render(request, "chat_app/rename.html", context, status=status)


@personal("POST")
async def delete(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Delete a conversation. The page from which that was done says so; it has the way back."""
    person = await person_of(request)
    with or_404():
        await listing.delete(owner=person.id, conversation_id=conversation_id)
    origin = origin_conversation(request.POST)
    if origin in ("", conversation_id):
        return back_to(conversation_id)  # which says it by itself
    response = back_to(origin)
    response["Location"] += "?" + urlencode({"deleted": conversation_id})
    return response


@personal("POST")
async def restore(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Undo that; the conversation comes back."""
    person = await person_of(request)
    with or_404():
        await listing.restore(owner=person.id, conversation_id=conversation_id)
    return back_to(conversation_id)
