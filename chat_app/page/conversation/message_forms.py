"""The functions that read the page's forms. `sessions_app.conversations` checks the values."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import pgettext

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

MAX_NUMBER = 2**53
# Format in which a page tells how much of a text it has: run id, and HTML attribute `data-at`.
KNOWN_TEXT = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})" + r"\.([0-9]{1,15})" * 3 + r"\.(.*)"
)


def number(post: Mapping[str, str], name: str) -> int:
    """Read a field as a number, at least 0; 0 if the value is no number."""
    with suppress(ValueError, KeyError):
        return min(max(0, int(post[name][:20])), MAX_NUMBER)
    return 0


def run(post: Mapping[str, str], name: str) -> UUID | None:
    """Read a field as the id of a run; None if the value is no id."""
    with suppress(ValueError, KeyError):
        return UUID(post[name])
    return None


def read_known_texts(values: Iterable[str]) -> dict[UUID, KnownText]:
    """Read, by run, the ends of the texts that a page already has; ignore malformed values."""
    items = {}
    for match in (KNOWN_TEXT.fullmatch(text) for text in values):
        if match is not None and INSIDE.fullmatch(match[5]):
            first, sequence, offset = (int(number) for number in match.group(2, 3, 4))
            items[UUID(match[1])] = KnownText(first, sequence, offset, match[5])
    return items


def message(request: HttpRequest, person: UserId) -> IncomingMessage:
    """Read a message to send: typed in the message field, an offered starter, or sent again."""
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
    """Return the starter's text; empty if this person may not use the workflow."""
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
    """Store the files of the form's fields, and add the files to the answer.

    Raises:
        Invalid: a file is empty, too large, or of a refused type; errors are by field.
        StorageUnavailable: a file could not be written.
    """
    start, files = f"{PREFIX}-", {}
    for name, file in request.FILES.items():
        if name.startswith(start) and isinstance(file, UploadedFile):
            field = name.removeprefix(start)
            try:
                # No conversation can have such an id, so no message can refer to the file.
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
    """Answer a question by its card's form, or all questions of the card.

    Raises:
        Unanswered: the answer was refused or could not be stored, and refills the card.
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
    """An answer that was not accepted: `reason` tells why, and `typed_answer` refills the card."""

    def __init__(self, reason: Refused | StorageUnavailable, typed_answer: TypedAnswer) -> None:
        super().__init__(str(reason))
        self.reason, self.typed_answer = reason, typed_answer


def _together(request: HttpRequest, via: str) -> list[IncomingAnswer]:
    """Read the answers to the questions of one card; field names begin with the question's id."""
    data = read_posted(request.POST)
    return [
        replace(_incoming_answer(request, _part_answer(data, name), name, via), version=None)
        for name in request.POST.getlist("together")[:MOST_TOGETHER]
    ]


def _part_answer(data: Mapping[str, list[str]], name: str) -> PageAnswer:
    """Read one question's answer. A form always sends a hidden field with an empty name.

    The single button of the card submits all forms, so each form counts as approved.
    """
    if fields := within(data, f"{name}-"):
        return PageAnswer(values=[APPROVE], fields=fields)
    return PageAnswer(values=data.get(name, []), note="".join(data.get(NOTE + name, [])).strip())


def page_answer_of(incoming_answer: IncomingAnswer) -> PageAnswer:
    """Return the answer if a page sent it; otherwise an empty answer, which refills no field."""
    answer = incoming_answer.answer
    return answer if isinstance(answer, PageAnswer) else PageAnswer()


def refuse_unanswerable(request: HttpRequest) -> HttpResponse:
    """Answer 404 with the typed text: this person may not answer the question now."""
    return common.show_refused_form(request, str(NOT_WAITING), HTTPStatus.NOT_FOUND)


# Maximum characters of a refused answer that are shown again; no prompt accepts a longer answer.
MAX_ANSWER_SHOWN = 100_000
# Outcomes of answers that came too late to take effect; `late_words` explains each.
LATE_OUTCOMES = (Outcome.STALE, Outcome.EXPIRED, Outcome.CLAIMED)


def tell_outcome(
    request: HttpRequest,
    answer_result: AnswerResult,
    incoming_answers: Iterable[IncomingAnswer],
    back: HttpResponse,
) -> HttpResponse:
    """Report the outcome of an answer: JSON for the script, else a message on the page `back`.

    The message confirms a vote, or tells why an answer was not accepted; the JSON has that sentence
    as `reason`, "" for an answer that was accepted.
    """
    if common.is_script(request):
        is_refused = answer_result.outcome in (*LATE_OUTCOMES, Outcome.NOT_FOUND)
        reason = late_words(answer_result) if is_refused else ""
        return JsonResponse({"outcome": answer_result.outcome, "reason": reason})
    if answer_result.outcome == Outcome.NOT_FOUND:
        return refuse_unanswerable(request)
    if answer_result.outcome == Outcome.VOTED:
        messages.success(request, pgettext("hitl", "Your vote counts"))
    elif answer_result.outcome in LATE_OUTCOMES:
        messages.warning(request, _too_late(answer_result, incoming_answers))
    return back


def _too_late(answer_result: AnswerResult, incoming_answers: Iterable[IncomingAnswer]) -> str:
    """Tell why an answer was not accepted, and repeat the typed text, which must not get lost."""
    reason = late_words(answer_result)
    typed_text = ", ".join(filter(None, (page_answer_of(one).text for one in incoming_answers)))
    if not typed_text:
        return reason
    return (
        reason
        + " "
        + pgettext("hitl", "Your answer was: %(typed)s") % {"typed": typed_text[:MAX_ANSWER_SHOWN]}
    )
