"""What the page's forms send. Nothing is checked here that `conversations` checks."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from uuid import UUID, uuid4

from django.http import HttpRequest
from django.utils.translation import gettext

from chat_app.page.history import Known
from chat_app.page.texts.blocks import INSIDE
from sessions_app.conversations.answers import AnswerResult, IncomingAnswer, Outcome
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.workflows import registry

MOST = 2**53
# Of an item of text: its run, and what its `data-at` says.
PLACE = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})" + r"\.([0-9]{1,15})" * 3 + r"\.(.*)"
)


def number(given: Mapping[str, str], name: str) -> int:
    """The number of that name, at least 0; 0 if it is none."""
    with suppress(ValueError, KeyError):
        return min(max(0, int(given[name][:20])), MOST)
    return 0


def known(given: Iterable[str]) -> dict[UUID, Known]:
    """What a page has of items of text, by run; what does not read like that is passed over."""
    found = {}
    for place in (PLACE.fullmatch(text) for text in given):
        if place is not None and INSIDE.fullmatch(place[5]):
            first, sequence, offset = (int(number) for number in place.group(2, 3, 4))
            found[UUID(place[1])] = Known(first, sequence, offset, place[5])
    return found


def message(request: HttpRequest) -> IncomingMessage:
    """The message of the composer, or the starter that was pressed."""
    text, workflow = request.POST.get("text", ""), request.POST.get("workflow") or None
    name, _, index = request.POST.get("starter", "").rpartition(":")
    for offered in registry.offered():
        starters = offered.workflow.starters
        if offered.workflow.name == name and index.isdecimal() and int(index) < len(starters):
            text, workflow = starters[int(index)], name
    return IncomingMessage(
        message_id=request.POST.get("message_id") or str(uuid4()),
        text=text.replace("\r\n", "\n"),
        workflow=workflow,
        metadata={"via": "page", "method": request.method, "url_path": request.path},
    )


def answer(request: HttpRequest, interaction: UUID) -> IncomingAnswer:
    """The answer in a prompt card. A checkbox's form says that several values may come."""
    several = request.POST.getlist("value") if "several" in request.POST else None
    value = request.POST.get("value", "").replace("\r\n", "\n")
    version = number(request.POST, "version")
    return IncomingAnswer(
        answer_id=request.POST.get("answer_id") or str(uuid4()),
        value=None if several is not None else value,
        values=several,
        interaction=str(interaction),
        version=version or None,
        via="page",
    )


def values(given: IncomingAnswer) -> list[str]:
    """What was chosen or typed."""
    if given.values is not None:
        return given.values
    return [given.value] if given.value is not None else []


def too_late(settled: AnswerResult, given: IncomingAnswer) -> str:
    """Why an answer was not taken, with what was typed, which must not get lost."""
    if settled.outcome == Outcome.EXPIRED:
        reason = gettext("The time for this question was over before your answer came.")
    elif settled.status == "cancelled":
        reason = gettext("The run ended before your answer came.")
    else:
        reason = gettext("%(who)s had already answered this question.") % {"who": settled.by}
    typed = ", ".join(values(given))
    if not typed:
        return reason
    return reason + " " + gettext("Your answer was: %(typed)s") % {"typed": typed[:2000]}
