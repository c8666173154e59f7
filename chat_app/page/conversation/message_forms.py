"""The readers of the page's forms. Nothing is checked here that `conversations` checks."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext

from chat_app.page import common
from chat_app.page.cards import NOTE, TypedAnswer, within
from chat_app.page.conversation.history import KnownText
from chat_app.page.markdown.blocks import INSIDE
from sessions_app.conversations import workflow_access
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.errors import Invalid, Refused, StorageUnavailable
from sessions_app.interactions import answers
from sessions_app.interactions.answers import AnswerResult, IncomingAnswer, Outcome
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person, UserId
from sessions_app.prompts import (
    APPROVE,
    MOST_TOGETHER,
    PREFIX,
    PageAnswer,
    read_posted,
)
from sessions_app.questions.late_words import NOT_WAITING, late_words
from sessions_app.storage import attachments

MOST = 2**53
# Of an item of text: its run, and what its `data-at` says.
PLACE = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})" + r"\.([0-9]{1,15})" * 3 + r"\.(.*)"
)


def number(post: Mapping[str, str], name: str) -> int:
    """Read the number of a name, at least 0; 0 if it is none."""
    with suppress(ValueError, KeyError):
        return min(max(0, int(post[name][:20])), MOST)
    return 0


def run(post: Mapping[str, str], name: str) -> UUID | None:
    """Read the run of a name; None if it is none."""
    with suppress(ValueError, KeyError):
        return UUID(post[name])
    return None


def read_known_texts(places: Iterable[str]) -> dict[UUID, KnownText]:
    """Read what a page has of items of text, by run; what does not read like that is ignored."""
    items = {}
    for place in (PLACE.fullmatch(text) for text in places):
        if place is not None and INSIDE.fullmatch(place[5]):
            first, sequence, offset = (int(number) for number in place.group(2, 3, 4))
            items[UUID(place[1])] = KnownText(first, sequence, offset, place[5])
    return items


def message(request: HttpRequest, person: UserId) -> IncomingMessage:
    """Read the composer's message, the starter (by the database), or what is tried again."""
    text, workflow = request.POST.get("text", ""), request.POST.get("workflow") or None
    name, _, index = request.POST.get("starter", "").rpartition(":")
    if name:
        text, workflow = _starter(person, name, index) or text, name
    return IncomingMessage(
        message_id=request.POST.get("message_id") or str(uuid4()),
        text=_unify_lines(text),
        workflow=workflow,
        replaces=request.POST.get("replaces") or None,
        follows=request.POST.get("follows") or None,
        files=tuple(request.POST.getlist("file_ids")),
        metadata={"via": "page", "method": request.method, "url_path": request.path},
    )


def _starter(person: UserId, name: str, index: str) -> str:
    """Return what the starter says; nothing where the workflow is not this person's to use."""
    usable = [offer.workflow for offer in workflow_access.usable(person)]
    starters = [workflow.starters for workflow in usable if workflow.name == name]
    at = int(index) if index.isdecimal() else 0
    return next((texts[at] for texts in starters if at < len(texts)), "")


def answer(request: HttpRequest, interaction: UUID, via: str = "page") -> IncomingAnswer:
    """Read the answer of a prompt card."""
    page_answer = PageAnswer(
        values=[_unify_lines(value) for value in request.POST.getlist("value")],
        note=_unify_lines(request.POST.get("note", "")).strip(),
        fields=read_posted(request.POST),
    )
    return _incoming_answer(request, page_answer, str(interaction), via)


def _incoming_answer(
    request: HttpRequest, page_answer: PageAnswer, interaction: str, via: str
) -> IncomingAnswer:
    return IncomingAnswer(
        answer_id=request.POST.get("answer_id") or str(uuid4()),
        answer=page_answer,
        interaction=interaction,
        version=number(request.POST, "version") or None,
        via=via,
    )


def _unify_lines(text: str) -> str:
    return text.replace("\r\n", "\n")


async def with_files(
    incoming_answer: IncomingAnswer, request: HttpRequest, by: Person
) -> IncomingAnswer:
    """Add the files of the form's fields to the answer; they are kept from now on.

    Raises:
        Invalid: one is empty, too large, or of a type that is not taken; by its field.
        StorageUnavailable: one could not be written.
    """
    start, files = f"{PREFIX}-", {}
    for name, file in request.FILES.items():
        if name.startswith(start) and isinstance(file, UploadedFile):
            field = name.removeprefix(start)
            try:
                # No conversation has such a name, so no message can name it.
                files[field] = await attachments.keep(
                    owner=by.id, conversation_id=f"/p/{incoming_answer.interaction}/", file=file
                )
            except Invalid as error:
                raise Invalid(error.args[0], errors={field: [error.args[0]]}) from error
    return replace(incoming_answer, answer=replace(page_answer_of(incoming_answer), files=files))


async def send(
    request: HttpRequest,
    interaction: UUID,
    *,
    conversation_id: str | None = None,
    by: Person,
    via: str = "page",
) -> tuple[AnswerResult, list[IncomingAnswer]]:
    """Answer a question by its card's form, or all that are asked together there.

    Raises:
        Unanswered: the answer is refused, or cannot be stored; it goes back into the card.
    """
    incoming_answers = _together(request, via) or [answer(request, interaction, via)]
    scope: JsonObject = {"by": by, "conversation_id": conversation_id}
    try:
        if "together" in request.POST:
            answer_result = await answers.answer_together(answers=incoming_answers, **scope)
            return answer_result, incoming_answers
        incoming_answers = [await with_files(incoming_answers[0], request, by)]
        return await answers.answer(answer=incoming_answers[0], **scope), incoming_answers
    except (Refused, StorageUnavailable) as error:
        typed_text = page_answer_of(incoming_answers[0])
        errors = getattr(error, "details", {}).get("errors", {})
        if "together" in request.POST:
            typed_text, errors = PageAnswer(fields=read_posted(request.POST)), {}
        typed = TypedAnswer(interaction, typed_text, str(error), errors)
        raise Unanswered(error, typed) from error


class Unanswered(Exception):
    """An answer was not taken: `reason` says why, and `typed_answer` goes back into its card."""

    def __init__(self, reason: Refused | StorageUnavailable, typed_answer: TypedAnswer) -> None:
        super().__init__(str(reason))
        self.reason, self.typed_answer = reason, typed_answer


def _together(request: HttpRequest, via: str) -> list[IncomingAnswer]:
    """Read the answers to the questions of one card, each under its own name."""
    data = read_posted(request.POST)
    return [
        replace(_incoming_answer(request, _part_answer(data, name), name, via), version=None)
        for name in request.POST.getlist("together")[:MOST_TOGETHER]
    ]


def _part_answer(data: Mapping[str, list[str]], name: str) -> PageAnswer:
    """Read one question's answer: a form always has a field, which is hidden, with an empty name.

    The card's one button submits each form.
    """
    if fields := within(data, f"{name}-"):
        return PageAnswer(values=[APPROVE], fields=fields)
    return PageAnswer(values=data.get(name, []), note="".join(data.get(NOTE + name, [])).strip())


def page_answer_of(incoming_answer: IncomingAnswer) -> PageAnswer:
    """Return the form that a page has sent."""
    answer = incoming_answer.answer
    return answer if isinstance(answer, PageAnswer) else PageAnswer()


def refuse_unanswerable(request: HttpRequest) -> HttpResponse:
    """Answer 404 with what was typed: the question is none that this person may answer now."""
    return common.give_back(request, str(NOT_WAITING), HTTPStatus.NOT_FOUND)


# Characters of an answer that is given back: no prompt takes more.
LONGEST = 100_000
# The outcomes of an answer that is not used, of which `late_words` says why.
LATE = (Outcome.STALE, Outcome.EXPIRED, Outcome.CLAIMED)


def tell_outcome(
    request: HttpRequest,
    answer_result: AnswerResult,
    incoming_answers: Iterable[IncomingAnswer],
    back: HttpResponse,
) -> HttpResponse:
    """Tell the script what came of an answer; else go back to a page, which says that a vote
    counts, or why an answer was not taken.
    """
    if common.is_script(request):
        return JsonResponse({"outcome": answer_result.outcome, "by": answer_result.by})
    if answer_result.outcome == Outcome.NOT_FOUND:
        return refuse_unanswerable(request)
    if answer_result.outcome == Outcome.VOTED:
        messages.success(request, gettext("Your vote counts"))
    elif answer_result.outcome in LATE:
        messages.warning(request, _too_late(answer_result, incoming_answers))
    return back


def _too_late(answer_result: AnswerResult, incoming_answers: Iterable[IncomingAnswer]) -> str:
    """Say why an answer was not taken, with what was typed, which must not get lost."""
    reason = late_words(answer_result)
    typed_text = ", ".join(filter(None, (page_answer_of(one).text for one in incoming_answers)))
    if not typed_text:
        return reason
    return reason + " " + gettext("Your answer was: %(typed)s") % {"typed": typed_text[:LONGEST]}
