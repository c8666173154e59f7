"""The views for files and feedback. Each view serves plain forms and the script."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.storage import storages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from chat_app import feedback as opinions
from chat_app.page.common import back_to, is_script, or_404, person_of, personal, with_user
from chat_app.page.page_threads import download
from chat_app.wire.parsing import STATUS, translate
from sessions_app.conversations.messages import MAX_NAME
from sessions_app.errors import Invalid, NotFound, Refused, StorageUnavailable
from sessions_app.models import AttachedFile
from sessions_app.storage import attachments, reads
from sessions_app.storage.spool import pieces


def refusal(error: Refused | StorageUnavailable) -> JsonResponse:
    """Build the JSON response to the script: the reason of a refusal, and the form's errors."""
    errors = translate(getattr(error, "details", {}).get("errors", {}))
    return JsonResponse({"error": str(error), "errors": errors}, status=STATUS[type(error)])


@personal("POST")
async def feedback(request: HttpRequest, conversation_id: str, run: UUID) -> HttpResponse:
    """Store the person's feedback on an answer; an empty value withdraws the feedback."""
    person = await person_of(request)
    # A comment is one line. The field is multi-line only so that Enter does not press a thumb
    # button.
    comment = request.POST.get("comment")
    try:
        with or_404():
            await opinions.give(
                owner=person.id,
                run=run,
                reaction=request.POST.get("reaction"),
                comment=None if comment is None else " ".join(comment.split()),
            )
    except (Refused, StorageUnavailable) as error:
        if is_script(request):
            return refusal(error)
        messages.warning(request, str(error))
    if is_script(request):
        return HttpResponse(status=204)
    back = back_to(conversation_id)
    back["Location"] += f"#feedback-{run}"
    return back


@personal("POST")
async def upload(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Store a file for an unsent message; the response has the id to send with the message."""
    person = await person_of(request)
    file = request.FILES.get("file")
    try:
        if file is None:
            raise Invalid("There is no file in the form.")
        if len(conversation_id) > MAX_NAME:
            raise NotFound("There is no such conversation.")
        attachment = await attachments.keep(
            owner=person.id, conversation_id=conversation_id, file=file
        )
    except (Refused, StorageUnavailable) as error:
        return refusal(error)
    return JsonResponse(
        {"id": str(attachment.pk), "name": attachment.name, "size": attachment.size}, status=201
    )


@require_safe
@with_user
@login_required
async def file(request: HttpRequest, conversation_id: str, file: UUID) -> HttpResponseBase:
    """Download a file of the person's conversation; browsers never run the file as a page."""
    person = await person_of(request)
    attachment = await reads.read_for(
        person.id, attachments.find_sent, person.id, conversation_id, file
    )
    exists = storages["default"].exists
    if attachment is None or not await asyncio.to_thread(exists, attachment.path):
        raise Http404
    disposition = content_disposition_header(as_attachment=True, filename=attachment.name)
    return download(
        request,
        _content(attachment),
        reader=person.id,
        headers={
            "Content-Type": attachment.content_type,
            "Content-Disposition": disposition or "attachment",
            "Content-Length": str(attachment.size),
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


async def _content(attachment: AttachedFile) -> AsyncIterator[bytes]:
    """Yield the file in pieces; open it only for the first, as the client may disconnect before."""
    async for piece in pieces(await asyncio.to_thread(attachment.open)):
        yield piece
