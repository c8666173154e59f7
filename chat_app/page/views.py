"""The page, its parts for the script, and its forms, which work without the script too."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST

from chat_app.identity.connection import address_of
from chat_app.identity.rates import submit
from chat_app.page import forms
from chat_app.page.cards import TypedAnswer
from chat_app.page.common import back_to, person_of, site_context
from chat_app.page.conversation_page import Page, Wanted, read_page
from chat_app.page.script_texts import WORDS
from chat_app.page.sidebar import export as exporting
from chat_app.page.sidebar.entries import newest, sidebar
from chat_app.protocol.parsing import STATUS
from sessions_app.conversations import access, answers
from sessions_app.conversations.answers import Outcome
from sessions_app.conversations.messages import MAX_MESSAGE, MAX_NAME
from sessions_app.conversations.messages import stop as stop_runs
from sessions_app.errors import NotFound, Refused, StorageUnavailable, TooMany
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.workflows.registry import Offered

EXPORTS = {
    "md": ("text/markdown", exporting.as_markdown),
    "json": ("application/json", exporting.as_json),
}


async def socket(request: HttpRequest) -> HttpResponse:
    """Say to a plain request that the socket is here; its handshakes never come to a view."""
    return HttpResponse(
        "Open a WebSocket here.\n",
        status=HTTPStatus.UPGRADE_REQUIRED,
        content_type="text/plain; charset=utf-8",
        headers={"Upgrade": "websocket"},
    )


@require_GET
@never_cache
@login_required
async def home(request: HttpRequest) -> HttpResponse:
    """Go to the newest conversation, or begin the first."""
    owner = (await person_of(request)).id
    conversation_id = await reads.read(newest, owner)
    return redirect("chat:conversation", conversation_id or uuid4())


@require_GET
@never_cache
@login_required
async def new(request: HttpRequest) -> HttpResponse:
    """Begin another conversation, `?workflow=name` with that workflow chosen. Nothing is stored
    before its first message.
    """
    begun = redirect("chat:conversation", uuid4())
    if workflow := request.GET.get("workflow"):
        begun["Location"] += "?" + urlencode({"workflow": workflow})
    return begun


@require_GET
@never_cache
@gzip_page
@login_required
async def conversation(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """The page of a conversation, `?before=N` with older items than those of the sequence."""
    _check_name(conversation_id)
    before = forms.number(request.GET, "before")
    return await _page(request, conversation_id, before=before or None)


@require_GET
@never_cache
@gzip_page
@login_required
async def items(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Part of the page: the items that have events from sequence `from` on, and what changes with
    them; with `before`, the items before that sequence alone. `text` says what the page has of an
    item already, as `data-at` said; `hold=1`, that marks wait until they are whole.
    """
    _check_name(conversation_id)
    person = await person_of(request)
    wanted = Wanted(
        after=max(0, forms.number(request.GET, "from") - 1),
        before=forms.number(request.GET, "before") or None,
        known=forms.known(request.GET.getlist("text")),
        hold="hold" in request.GET,
    )

    def render() -> str:
        page = read_page(person.id, conversation_id, wanted)
        return render_to_string("chat_app/part.html", _context(page), request)

    return HttpResponse(await reads.read(render))


@require_GET
@never_cache
@gzip_page
@login_required
async def side(request: HttpRequest) -> HttpResponse:
    """The list of conversations alone."""
    person = await person_of(request)

    def render() -> str:
        context = _side_context(request, person.id, request.GET.get("current", ""))
        return render_to_string("chat_app/parts/list.html", context, request)

    return HttpResponse(await reads.read(render))


@require_POST
@never_cache
@gzip_page
@login_required
async def send(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Send a message; refused, it stays in its field."""
    _check_name(conversation_id)
    person = await person_of(request)
    message = forms.message(request)
    try:
        await submit(
            owner=person.id,
            address=address_of(request),
            conversation_id=conversation_id,
            message=message,
        )
    except (Refused, StorageUnavailable) as error:
        kept = {"draft": message.text, "draft_error": str(error), "picked": message.workflow}
        page = await _page(request, conversation_id, status=STATUS[type(error)], extra=kept)
        if isinstance(error, TooMany):
            page["Retry-After"] = str(error.seconds)
        return page
    return back_to(conversation_id)


@require_GET
@never_cache
@login_required
async def export(request: HttpRequest, conversation_id: str, form: str) -> StreamingHttpResponse:
    """The conversation as a file of one's own."""
    person = await person_of(request)
    if form not in EXPORTS:
        raise Http404
    try:
        found = await reads.read(exporting.find, person.id, conversation_id)
    except NotFound as error:
        raise Http404 from error
    content_type, write = EXPORTS[form]
    disposition = f'attachment; filename="conversation.{form}"'
    return StreamingHttpResponse(
        write(found),
        content_type=f"{content_type}; charset=utf-8",
        headers={"Content-Disposition": disposition},
    )


@require_POST
@never_cache
@login_required
async def stop(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Ask the active runs to stop; the page says when they have."""
    person = await person_of(request)
    try:
        await stop_runs(owner=person.id, conversation_id=conversation_id)
    except NotFound as error:
        raise Http404 from error
    return back_to(conversation_id)


@require_POST
@never_cache
@gzip_page
@login_required
async def answer(request: HttpRequest, conversation_id: str, interaction: UUID) -> HttpResponse:
    """Answer a question; refused, the answer stays in its field."""
    _check_name(conversation_id)
    person = await person_of(request)
    given = forms.answer(request, interaction)
    try:
        settled = await answers.answer(by=person, conversation_id=conversation_id, answer=given)
    except (Refused, StorageUnavailable) as error:
        typed = TypedAnswer(interaction, forms.values(given), str(error))
        return await _page(request, conversation_id, typed=typed, status=STATUS[type(error)])
    if settled.outcome == Outcome.NOT_FOUND:
        raise Http404
    if settled.outcome in (Outcome.STALE, Outcome.EXPIRED):
        messages.warning(request, forms.too_late(settled, given))
    return back_to(conversation_id)


async def _page(
    request: HttpRequest,
    conversation_id: str,
    *,
    before: int | None = None,
    typed: TypedAnswer | None = None,
    status: int = 200,
    extra: dict[str, Any] | None = None,
) -> HttpResponse:
    person = await person_of(request)
    is_staff = getattr(await request.auser(), "is_staff", False)

    def render() -> str:
        page = read_page(person.id, conversation_id, Wanted(before=before), typed=typed)
        choices = access.usable(person.id)
        context = {
            **_context(page),
            **_side_context(request, person.id, conversation_id),
            **site_context(),
            "username": person.username,
            "is_staff": is_staff,
            "choices": choices,
            "picked": _picked(request, choices),
            "message_id": uuid4(),
            "longest_message": MAX_MESSAGE,
            "before": before,
            "words": WORDS,
            **(extra or {}),
        }
        return render_to_string("chat_app/page.html", context, request)

    return HttpResponse(await reads.read(render), status=status)


def _picked(request: HttpRequest, choices: list[Offered]) -> str | None:
    name = request.GET.get("workflow")
    return name if name in {offered.workflow.name for offered in choices} else None


def _context(page: Page) -> dict[str, Any]:
    return {"page": page, "conversation_id": page.conversation_id, "answer_id": uuid4()}


def _side_context(request: HttpRequest, owner: UserId, current: str) -> dict[str, Any]:
    query = request.GET.get("q", "").strip()[:100]
    side = sidebar(owner, query=query, limit=forms.number(request.GET, "show"))
    return {"side": side, "conversation_id": current}


def _check_name(conversation_id: str) -> None:
    if len(conversation_id) > MAX_NAME:
        raise Http404
