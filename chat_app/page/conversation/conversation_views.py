"""The views of a conversation: page, HTML fragments for the script, and forms without script."""

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import IO
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.gzip import gzip_page

from chat_app.identity.request_facts import address_of
from chat_app.inbox.inbox_parts import InboxPartQuery, read_inbox
from chat_app.page.cards import TypedAnswer
from chat_app.page.common import (
    back_to,
    done,
    is_script,
    or_404,
    origin_conversation,
    person_of,
    personal,
    site_context,
)
from chat_app.page.conversation import message_forms
from chat_app.page.conversation.conversation_page import (
    ConversationPage,
    ItemRange,
    edited_message,
    read_page,
    read_text,
)
from chat_app.page.conversation.file_views import refusal
from chat_app.page.inbox.inbox_entries import InboxEntry, make_entries
from chat_app.page.page_threads import download, make, yield_texts
from chat_app.page.settings.script_texts import FILES, WORDS
from chat_app.page.sidebar import export as exporting
from chat_app.page.sidebar.sidebar_entries import find_deleted, newest, sidebar, title_of
from chat_app.rates import submit
from chat_app.wire.parsing import STATUS
from sessions_app.conversations import listing, workflow_access
from sessions_app.conversations.messages import MAX_MESSAGE, MAX_NAME
from sessions_app.conversations.stops import stop as stop_runs
from sessions_app.errors import Refused, StorageUnavailable, TooMany
from sessions_app.interactions import audit
from sessions_app.json_types import JsonObject
from sessions_app.models import Conversation
from sessions_app.models.people import UserId
from sessions_app.prompts import seen_types
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import attachments, reads
from sessions_app.storage.spool import pieces, spool
from sessions_app.storage.storable import is_storable
from sessions_app.workflows.registry import OfferedWorkflow

MOST_WAITING = 3  # maximum number of waiting questions on the page of a new conversation
EXPORTS = {
    "md": ("text/markdown", exporting.as_markdown),
    "json": ("application/json", exporting.as_json),
}


async def socket(request: HttpRequest) -> HttpResponse:
    """Answer a plain request to the socket's URL; socket handshakes never reach a view."""
    return HttpResponse(
        "Open a WebSocket here.\n",
        status=HTTPStatus.UPGRADE_REQUIRED,
        content_type="text/plain; charset=utf-8",
        headers={"Upgrade": "websocket"},
    )


@personal("GET")
async def home(request: HttpRequest) -> HttpResponse:
    """Redirect to the newest conversation, or to a new one."""
    owner = (await person_of(request)).id
    conversation_id = await reads.read_for(owner, newest, owner)
    return redirect("chat:conversation", conversation_id or uuid4())


@personal("GET")
async def new(request: HttpRequest) -> HttpResponse:
    """Redirect to a new conversation; `?workflow=name` preselects a workflow.

    Nothing is stored before the first message.
    """
    response = redirect("chat:conversation", uuid4())
    if workflow := request.GET.get("workflow"):
        response["Location"] += "?" + urlencode({"workflow": workflow})
    return response


@personal("GET")
@gzip_page
async def conversation(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Show the page of a conversation.

    `?before=N` shows items older than sequence N, `?branch=RUN` the branch with that run, and
    `?edit=RUN` the message of that run in the composer.
    """
    _check_name(conversation_id)
    before = message_forms.number(request.GET, "before")
    return await _page(request, conversation_id, before=before or None)


@personal("GET")
@gzip_page
async def items(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Render the items with events from sequence `from` on, and the changed parts of the page.

    With `before`, render only the items before that sequence. `text` names the part of an item
    that the page already has, as in `data-at`; `hold=1` holds back incomplete Markdown marks.
    """
    _check_name(conversation_id)
    person = await person_of(request)
    item_range = ItemRange(
        branch=message_forms.run(request.GET, "branch"),
        after=max(0, message_forms.number(request.GET, "from") - 1),
        before=message_forms.number(request.GET, "before") or None,
        known_texts=message_forms.read_known_texts(request.GET.getlist("text")),
        hold="hold" in request.GET,
    )

    def render() -> HttpResponse:
        page = read_page(person.id, conversation_id, item_range)
        if page.deleted_conversation is not None:
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        context = _context(page) | {"username": person.username}
        return HttpResponse(render_to_string("chat_app/part.html", context, request))

    return await make(render, reader=person.id)


@personal("GET")
@gzip_page
async def text(
    request: HttpRequest, conversation_id: str, run: UUID, first: int
) -> HttpResponseBase:
    """Return the Markdown of an answer, for copying, by the sequence at which the answer began."""
    person = await person_of(request)

    def find() -> IO[bytes] | None:
        markdown = read_text(person.id, conversation_id, run, first)
        return None if markdown is None else spool(iter([markdown]))

    file = await make(find, reader=person.id)
    if file is None:
        raise Http404
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return download(request, pieces(file), reader=person.id, headers=headers)


@personal("GET")
@gzip_page
async def side(request: HttpRequest) -> HttpResponse:
    """Render only the list of conversations."""
    person = await person_of(request)

    def render() -> str:
        context = _side_context(request, person.id, request.GET.get("current", ""))
        return render_to_string("chat_app/parts/list.html", context, request)

    return HttpResponse(await make(render, reader=person.id))


@personal("POST")
@gzip_page
async def send(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Send a message; a refused message stays in its field."""
    _check_name(conversation_id)
    person = await person_of(request)
    message = await reads.read_for(person.id, message_forms.message, request, person.id)
    try:
        for file in request.FILES.getlist("files"):
            row = await attachments.keep(
                owner=person.id, conversation_id=conversation_id, file=file
            )
            message = replace(message, files=(*message.files, str(row.pk)))
        await submit(
            owner=person.id,
            address=address_of(request),
            conversation_id=conversation_id,
            message=message,
        )
    except (Refused, StorageUnavailable) as error:
        form_context = {
            "draft": message.text,
            "draft_error": str(error),
            "picked": message.workflow,
            "editing": message.replaces,
            "unsent": await reads.read_for(
                person.id, attachments.find_unsent, person.id, conversation_id, message.files
            ),
        }
        page = await _page(request, conversation_id, status=STATUS[type(error)], extra=form_context)
        if isinstance(error, TooMany):
            page["Retry-After"] = str(error.seconds)
        return page
    return back_to(conversation_id)


@personal("GET")
async def export(request: HttpRequest, conversation_id: str, form: str) -> HttpResponseBase:
    """Download the conversation as a file."""
    person = await person_of(request)
    if form not in EXPORTS:
        raise Http404
    with or_404():
        conversation_export = await reads.read_for(
            person.id, exporting.find, person.id, conversation_id
        )
    content_type, write = EXPORTS[form]
    headers = {
        "Content-Type": f"{content_type}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="conversation.{form}"',
    }
    texts = yield_texts(write(conversation_export), person.id)
    return download(request, texts, reader=person.id, headers=headers)


@personal("POST")
async def stop(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Ask the active runs to stop; the page shows when each has stopped."""
    person = await person_of(request)
    with or_404():
        await stop_runs(owner=person.id, conversation_id=conversation_id)
    return back_to(conversation_id)


@personal("POST")
@gzip_page
async def answer(request: HttpRequest, conversation_id: str, interaction: UUID) -> HttpResponse:
    """Answer a question, or all questions of its card; a refused answer stays in its field."""
    _check_name(conversation_id)
    person = await person_of(request)
    try:
        answer_result, incoming_answers = await message_forms.send(
            request, interaction, conversation_id=conversation_id, by=person
        )
    except message_forms.Unanswered as error:
        if is_script(request):
            return refusal(error.reason)
        return await _page(
            request,
            conversation_id,
            typed_answer=error.typed_answer,
            status=STATUS[type(error.reason)],
        )
    back = back_to(conversation_id)
    return message_forms.tell_outcome(request, answer_result, incoming_answers, back)


@personal("GET", "POST")
async def rename(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Change the title; a refused title stays in its field."""
    person = await person_of(request)
    title = await reads.read_for(person.id, title_of, person.id, conversation_id)
    if title is None:
        raise Http404
    error, status = "", 200
    if request.method == "POST":
        title = request.POST.get("title", "")
        try:
            with or_404():  # 404 if the conversation was deleted in the meantime
                await listing.rename(owner=person.id, conversation_id=conversation_id, title=title)
            return done(request, conversation_id)
        except (Refused, StorageUnavailable) as refused:
            if is_script(request):
                return refusal(refused)
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
    """Delete a conversation; the page of origin confirms the deletion and offers to undo."""
    person = await person_of(request)
    with or_404():
        await listing.delete(owner=person.id, conversation_id=conversation_id)
    if is_script(request):
        return done(request, conversation_id)
    origin = origin_conversation(request.POST)
    if origin in ("", conversation_id):
        return back_to(conversation_id)  # this page tells that the conversation is deleted
    response = back_to(origin)
    response["Location"] += "?" + urlencode({"deleted": conversation_id})
    return response


@personal("POST")
async def restore(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Restore a deleted conversation."""
    person = await person_of(request)
    with or_404():
        await listing.restore(owner=person.id, conversation_id=conversation_id)
    return done(request, conversation_id)


async def _page(
    request: HttpRequest,
    conversation_id: str,
    *,
    before: int | None = None,
    typed_answer: TypedAnswer | None = None,
    status: int = 200,
    extra: JsonObject | None = None,
) -> HttpResponse:
    person = await person_of(request)
    is_staff = getattr(await request.auser(), "is_staff", False)

    edited_run = message_forms.run(request.GET, "edit")
    branch = (
        message_forms.run(request.GET, "branch")
        # A refused message stays on the branch on which the person wrote the message.
        or message_forms.run(request.POST, "replaces")
        or message_forms.run(request.POST, "follows")
        or edited_run
    )

    def render() -> tuple[str, list[UUID]]:
        item_range = ItemRange(branch=branch, before=before)
        page = read_page(person.id, conversation_id, item_range, typed_answer=typed_answer)
        if page.deleted_conversation is not None:
            context = {**site_context(), "deleted": page.deleted_conversation, **(extra or {})}
            return render_to_string("chat_app/deleted.html", context, request), []
        side = _side_context(request, person.id, conversation_id)
        is_asked = page.conversation is None and side["side"].waiting_count
        waiting = _read_waiting(person.id) if is_asked else []
        choices, picked = workflow_access.usable(person.id), request.GET.get("workflow")
        context = {
            **_context(page, choices),
            **(edited_message(page, edited_run) if edited_run else {}),
            **site_context(),
            "username": person.username,
            "is_staff": is_staff,
            "choices": choices,
            "picked": picked if picked in {offer.workflow.name for offer in choices} else None,
            "message_id": uuid4(),
            "longest_message": MAX_MESSAGE,
            "file_types": _accepted_types(),
            "before": before,
            **side,
            "waiting": waiting,
            "just_deleted": _just_deleted(request, person.id),
            **(extra or {}),
        }
        context["words"] = WORDS | (FILES if context["takes_files"] else {})
        html = render_to_string("chat_app/page.html", context, request)
        return html, [entry.interaction.pk for entry in waiting]

    html, shown_ids = await make(render, reader=person.id)
    if shown_ids:
        await audit.record_shown(shown_ids, by=person, via="inbox")
    return HttpResponse(html, status=status)


def _just_deleted(request: HttpRequest, owner: UserId) -> Conversation | None:
    """Return the conversation just deleted from this page, if restorable."""
    name = request.GET.get("deleted", "")
    return find_deleted(owner, name) if name and is_storable(name) else None


def _read_waiting(reader: UserId) -> list[InboxEntry]:
    """Return the first questions of a person's inbox, without notifications, which ask nothing."""
    prompts = read_inbox(reader, InboxPartQuery()).prompts
    questions = [prompt for prompt in prompts if prompt.name not in seen_types()]
    return make_entries(questions[:MOST_WAITING], reader)


def _accepted_types() -> str:
    """Return the types for the file chooser; phones offer the camera if images are accepted."""
    endings = RuntimeSettings.load().FILE_TYPES
    pictures = any(attachments.content_type(ending).startswith("image/") for ending in endings)
    return ",".join(["image/*"] * pictures + [f".{ending}" for ending in endings])


def _context(page: ConversationPage, choices: Sequence[OfferedWorkflow] = ()) -> JsonObject:
    return {
        "page": page,
        "conversation_id": page.conversation_id,
        "answer_id": uuid4(),
        "takes_files": page.takes_files(choices),
    }


def _side_context(request: HttpRequest, owner: UserId, current: str) -> JsonObject:
    query = request.GET.get("q", "").strip()[:100]
    limit = message_forms.number(request.GET, "show")
    side = sidebar(owner, query=query, limit=limit, current=current)
    return {"side": side, "conversation_id": current}


def _check_name(conversation_id: str) -> None:
    if len(conversation_id) > MAX_NAME:
        raise Http404
