"""The inbox and the page of a prompt. Both work without the script, which adds live updates."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import npgettext, pgettext, pgettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods

from chat_app.identity.prompt_links import read_prompt_link
from chat_app.inbox import pending_counts
from chat_app.inbox.inbox_parts import (
    ANSWERABLE,
    MAX_QUERY_LENGTH,
    MOST_SEARCHED,
    PROMPTS_PER_PAGE,
    InboxPage,
    InboxPart,
    InboxPartQuery,
    count_parts,
    read_inbox,
)
from chat_app.inbox.inbox_query import names_of
from chat_app.page.cards import TypedAnswer
from chat_app.page.common import is_script, person_of, personal, see_other, site_context
from chat_app.page.conversation import message_forms
from chat_app.page.conversation.file_views import refusal
from chat_app.page.inbox.alike import MOST_ALIKE, find_selected, group_alike
from chat_app.page.inbox.confirmation import read_confirmation
from chat_app.page.inbox.inbox_entries import is_of_one_card, make_entries, read_prompt
from chat_app.page.page_threads import make
from chat_app.page.settings.script_texts import INBOX, WORDS
from chat_app.rates import change_claim
from chat_app.wire.parsing import STATUS
from sessions_app.errors import Invalid, NotFound, Refused, StorageUnavailable, TooMany
from sessions_app.interactions import answers, audit
from sessions_app.interactions.answerers import Name
from sessions_app.interactions.answers import Outcome
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person
from sessions_app.prompts import MAX_NOTE
from sessions_app.questions.late_words import claim_refusal, late_words
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage import clock, reads
from sessions_app.storage.sql import is_uuid

PARTS = {
    InboxPart.ALL: pgettext_lazy("hitl", "All"),
    InboxPart.MINE: pgettext_lazy("hitl", "For me"),
    InboxPart.GROUPS: pgettext_lazy("hitl", "My groups"),
    InboxPart.CLAIMED: pgettext_lazy("hitl", "Claimed"),
    InboxPart.OTHERS: pgettext_lazy("hitl", "Waiting for others"),
    InboxPart.ANSWERED: pgettext_lazy("hitl", "Answered by me"),
}
HEADINGS = PARTS | {InboxPart.ALL: pgettext_lazy("hitl", "Waiting for you")}


@personal("GET")
@gzip_page
async def show(request: HttpRequest) -> HttpResponse:
    """Show the person's inbox: `?part=` filters, `?q=` searches, `?page=` is the page number."""
    person = await person_of(request)
    wanted_query = _read_query(request.GET)
    query = wanted_query.query

    def render() -> tuple[str, list[UUID]]:
        is_answerable = wanted_query.part in ANSWERABLE
        names = names_of(person.id)
        look_ahead = MOST_ALIKE if is_answerable else pending_counts.CAP
        inbox_query, inbox_page = _read_page(person, wanted_query, look_ahead, names)
        shown_part, number = inbox_query.part, inbox_query.page
        counts = count_parts(person.id, names, shown_part)
        entries = make_entries(inbox_page.prompts, person.id, may_answer=is_answerable)
        groups, bars = group_alike(entries, person.id, inbox_page.ids)
        context = {
            **_context(request, person, counts[InboxPart.ALL]),
            # URL without the parameter `done`, so that the success message is shown only once.
            "here": resolve_url("chat:inbox") + _query(shown_part, query, number),
            "groups": groups,
            "before": (number - 1) * PROMPTS_PER_PAGE,
            "total": len(inbox_page.ids),
            "bars": bars,
            "wanted": inbox_query,
            "searched": MOST_SEARCHED if inbox_page.is_cut else 0,
            "heading": HEADINGS[shown_part],
            "parts": [
                (part, words, _query(part, query), 0 if query else counts.get(part, 0))
                for part, words in PARTS.items()
            ],
            "earlier": _query(shown_part, query, number - 1) if number > 1 else "",
            "later": _query(shown_part, query, number + 1) if inbox_page.has_more else "",
        }
        html = render_to_string("chat_app/inbox/inbox.html", context, request)
        return html, [prompt.pk for prompt in inbox_page.prompts]

    html, prompts = await make(render, reader=person.id)
    await audit.record_shown(prompts, by=person, via="inbox")
    return HttpResponse(html)


def _read_page(
    person: Person, query: InboxPartQuery, look_ahead: int, names: set[Name]
) -> tuple[InboxPartQuery, InboxPage]:
    """Read the requested page of the inbox, or the last page if there are fewer pages by now."""
    inbox_page = read_inbox(person.id, query, look_ahead, names)
    if inbox_page.prompts or query.page == 1:
        return query, inbox_page
    last_query = replace(query, page=max(1, ceil(len(inbox_page.ids) / PROMPTS_PER_PAGE)))
    return last_query, read_inbox(person.id, last_query, look_ahead, names)


def _read_query(data: Mapping[str, str]) -> InboxPartQuery:
    part = data.get("part")
    return InboxPartQuery(
        InboxPart(part) if part in set(InboxPart) else InboxPart.ALL,
        data.get("q", "").strip()[:MAX_QUERY_LENGTH],
        max(1, message_forms.number(data, "page")),
    )


def _query(part: InboxPart, query: str = "", page: int = 1) -> str:
    parameters = {"part": part.value, "q": query, "page": str(page)}
    usual = {"part": InboxPart.ALL.value, "q": "", "page": "1"}
    changed_parameters = {name: value for name, value in parameters.items() if value != usual[name]}
    return f"?{urlencode(changed_parameters)}" if changed_parameters else ""


@personal("GET")
@gzip_page
async def prompt(request: HttpRequest, interaction: UUID) -> HttpResponse:
    """Show one prompt."""
    return await _prompt_page(request, Reader(await person_of(request)), interaction)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@gzip_page
async def show_linked_prompt(request: HttpRequest, token: str) -> HttpResponse:
    """Show a prompt to the guest of a signed link, or take the answer, without signing in."""
    guest_and_prompt = await reads.read(read_prompt_link, token)
    if guest_and_prompt is None:
        raise Http404
    person, interaction = guest_and_prompt
    reader = Reader(person, "chat_app/inbox/linked.html", request.path)
    if request.method == "POST":
        return await _answer(request, reader, interaction)
    return await _prompt_page(request, reader, interaction)


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader of a prompt's page, with the page's template and address."""

    person: Person
    template: str = "chat_app/inbox/prompt.html"
    page_url: str = ""


async def _prompt_page(
    request: HttpRequest,
    reader: Reader,
    interaction: UUID,
    typed_answer: TypedAnswer | None = None,
    status: int = 200,
) -> HttpResponse:
    person = reader.person

    def render() -> str:
        page = read_prompt(person.id, interaction, typed_answer)
        if page is None:
            raise Http404
        context = {**_context(request, person), "page": page, "entries": [page.entry]}
        context["here"] = reader.page_url or resolve_url("chat:prompt", interaction)
        return render_to_string(reader.template, context, request)

    html = await make(render, reader=person.id)
    await audit.record_shown([interaction], by=person, via="page")
    return HttpResponse(html, status=status)


def _context(request: HttpRequest, person: Person, waiting: int | None = None) -> JsonObject:
    if waiting is None:
        waiting = pending_counts.count_waiting([person.id])[person.id].prompts
    return {
        **site_context(),
        "username": person.username,
        "waiting": waiting,
        "now": clock.now(),
        "words": {**WORDS, **INBOX},
        "answer_id": uuid4(),
        "confirmation": read_confirmation(person.id, request.GET.get("done", "")),
    }


@personal("POST")
@gzip_page
async def answer(request: HttpRequest, interaction: UUID) -> HttpResponse:
    """Answer a prompt; a refused answer stays in its field on the prompt's page."""
    return await _answer(request, Reader(await person_of(request)), interaction)


async def _answer(request: HttpRequest, reader: Reader, interaction: UUID) -> HttpResponse:
    person = reader.person
    if "together" in request.POST:
        names = set(request.POST.getlist("together"))
        if not await reads.read_for(person.id, is_of_one_card, interaction, names):
            raise Http404
    try:
        answer_result, incoming_answers = await message_forms.send(
            request, interaction, by=person, via="inbox"
        )
    except message_forms.Unanswered as error:
        if is_script(request):
            return refusal(error.reason)
        status = STATUS[type(error.reason)]
        return await _prompt_page(request, reader, interaction, error.typed_answer, status)
    # Show no success message after an answer by signed link: the page itself shows the outcome.
    is_linked = bool(reader.page_url)
    if answer_result.outcome in answers.TAKEN and not (is_linked or is_script(request)):
        return _confirm(request, interaction)
    back = see_other(_read_origin(request))
    return message_forms.tell_outcome(request, answer_result, incoming_answers, back)


def _confirm(request: HttpRequest, interaction: UUID) -> HttpResponse:
    """Redirect to the page with the form, which then shows a success message."""
    origin = _read_origin(request)
    return see_other(f"{origin}{'&' if '?' in origin else '?'}done={interaction}")


MOST_NAMED = 10  # maximum number of refused answers shown with the reasons


@personal("POST")
async def claim(request: HttpRequest, interaction: UUID) -> HttpResponse:
    """Claim a prompt, release the claim, or hand the prompt to person `to` with a `note`."""
    person = await person_of(request)
    change = request.POST.get("change", "")
    to, note = (request.POST.get(name, "").strip() for name in ("to", "note"))
    if change not in ("claim", "release", "delegate"):
        raise Http404
    try:
        claim_state = await change_claim(
            change, str(interaction), to=to, note=note, by=person, via="inbox"
        )
    except NotFound:
        return message_forms.refuse_unanswerable(request)
    except (Invalid, StorageUnavailable, TooMany) as error:
        _refuse(request, str(error), note)
    else:
        if reason := claim_refusal(claim_state, person.username):
            _refuse(request, reason, note)
        elif claim_state.changed:
            return _confirm(request, interaction)
    return see_other(_read_origin(request))


def _refuse(request: HttpRequest, reason: str, note: str) -> None:
    """Show why an action was refused, with the note that the person typed."""
    words = pgettext("hitl", "Your unsent note: %(note)s")
    unused = words % {"note": note[:MAX_NOTE]} if note else ""
    messages.warning(request, f"{reason} {unused}".strip())


@personal("POST")
@gzip_page
async def answer_several(request: HttpRequest) -> HttpResponse:
    """Show the questions selected for one answer; once confirmed, answer each separately."""
    person = await person_of(request)
    ids = dict.fromkeys(UUID(id_) for id_ in request.POST.getlist("prompt") if is_uuid(id_))
    if "sent" not in request.POST:
        return await _review(request, person, ids)
    answered, refusals, late = 0, list[str](), Counter[str]()
    for interaction in list(ids)[:MOST_ALIKE]:
        incoming_answer = message_forms.answer(request, interaction, via="inbox")
        try:
            answer_result = await answers.answer(
                by=person, conversation_id=None, answer=incoming_answer
            )
        except (Refused, StorageUnavailable) as error:
            refusals.append(await _add_question(person, interaction, str(error)))
            continue
        if answer_result.outcome in answers.TAKEN:
            answered += 1
            continue
        if answer_result.outcome == Outcome.STALE and answer_result.by:
            late[answer_result.by] += 1
        refusals.append(await _add_question(person, interaction, late_words(answer_result)))
    _report(request, answered, late, refusals)
    return see_other(_read_origin(request))


async def _review(
    request: HttpRequest, person: Person, ticked_ids: Collection[UUID]
) -> HttpResponse:
    """Show the selected questions and their common answer, and ask whether to send it."""
    inbox_query = _read_query(request.POST)

    def render() -> tuple[str, list[UUID]]:
        questions = request.POST.getlist("all")
        prompts = find_selected(person.id, inbox_query, ticked_ids, questions)
        if not prompts:
            raise Invalid(pgettext("hitl", "Select the questions to answer."))
        prompt = QuestionView.of(prompts[0]).prompt
        incoming_answer = message_forms.answer(request, prompts[0].pk, via="inbox")
        stored_answer = prompt.check(incoming_answer.answer)
        values = request.POST.getlist("value")
        options = [option for option in prompt.choices if option.text in values]
        context = {
            **_context(request, person),
            "entries": make_entries(prompts, person.id),
            "answer": prompt.answer_text(stored_answer),
            "values": values,
            "deed": options[0].label if len(options) == 1 else "",
            "is_destructive": any(option.destructive for option in options),
            "here": _read_origin(request),
        }
        html = render_to_string("chat_app/inbox/review.html", context, request)
        return html, [prompt.pk for prompt in prompts]

    try:
        html, shown_ids = await make(render, reader=person.id)
    except Invalid as error:
        _refuse(request, str(error), request.POST.get("note", "").strip())
        return see_other(_read_origin(request))
    await audit.record_shown(shown_ids, by=person, via="inbox")
    return HttpResponse(html)


def _report(
    request: HttpRequest, answered: int, late: Mapping[str, int], refusals: Sequence[str]
) -> None:
    """Report the outcome of the answers in one sentence, then each refused question."""
    parts = [npgettext("hitl", "%(n)d answered", "%(n)d answered", answered) % {"n": answered}]
    for name, count in late.items():
        words = npgettext(
            "hitl",
            "%(n)d was answered by %(name)s meanwhile",
            "%(n)d were answered by %(name)s meanwhile",
            count,
        )
        parts.append(words % {"n": count, "name": name})
    if others := len(refusals) - sum(late.values()):
        words = npgettext("hitl", "%(n)d was not answered", "%(n)d were not answered", others)
        parts.append(words % {"n": others})
    level = messages.WARNING if refusals else messages.SUCCESS
    messages.add_message(request, level, ", ".join(parts) + ".")
    for reason in refusals[:MOST_NAMED]:
        messages.warning(request, reason)
    if not answered and (note := request.POST.get("note", "").strip()):
        _refuse(request, "", note)


async def _add_question(person: Person, interaction: UUID, reason: str) -> str:
    """Add the question to the reason, if the person may see the question."""

    def question() -> str:
        page = read_prompt(person.id, interaction)
        return page.entry.question[:80] if page else ""

    text = await make(question, reader=person.id)
    return f"“{text}”: {reason}" if text else reason


def _read_origin(request: HttpRequest) -> str:
    """Return the URL of the page that contained the form, if the page is of this site."""
    next_url = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(next_url, allowed_hosts=None)
    return next_url if is_ours and next_url.startswith("/") else resolve_url("chat:inbox")
