"""The inbox over HTTP, for other front ends: the prompts that wait for a person, and one prompt."""

from collections.abc import Iterator, Sequence
from typing import Annotated
from uuid import UUID

from django.urls import reverse
from ninja import Header, Query, Status

from chat_app.api import schemas
from chat_app.api.auth import AuthenticatedRequest
from chat_app.api.executions import give
from chat_app.api.problems import Failure, ProblemRouter
from chat_app.inbox.inbox_parts import ANSWERABLE, InboxPartQuery, find_prompt, read_inbox
from chat_app.inbox.inbox_query import on_card
from chat_app.rates import change_claim
from chat_app.run_transcript import in_words, read_shared
from sessions_app.errors import NotFound
from sessions_app.interactions import claims
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction
from sessions_app.models.people import UserId
from sessions_app.questions.late_words import claim_refusal
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage import reads

router = ProblemRouter(tags=["Inbox"])


@router.get("/v1/inbox", response=schemas.Inbox)
async def inbox(
    request: AuthenticatedRequest, query: Annotated[schemas.InboxQuery, Query()]
) -> object:
    """List the prompts that wait for the person, the first to be due first; 25 at a time."""
    reader = request.auth.person.id
    inbox_query = InboxPartQuery(query.part, query.q.strip(), query.page)

    def list_prompts() -> JsonObject:
        page = read_inbox(reader, inbox_query)
        prompts = [prompt for first in page.prompts for prompt in on_card(first)]
        may = inbox_query.part in ANSWERABLE
        objects = _prompt_objects(prompts, reader, may_answer=may)
        return {"prompts": objects, "more": page.has_more}

    return await reads.read_for(reader, list_prompts)


@router.get("/v1/prompts/{uuid:interaction_id}", response=schemas.PromptTold)
async def prompt(request: AuthenticatedRequest, interaction_id: UUID) -> object:
    """Return one prompt: for its owner, for who may answer it, and for who has."""
    reader = request.auth.person.id
    return await reads.read_for(reader, _read, reader, interaction_id)


@router.post("/v1/prompts/{uuid:interaction_id}/response", response={204: None})
async def answer_prompt(
    request: AuthenticatedRequest,
    interaction_id: UUID,
    body: schemas.AnswerBody,
    headers: Annotated[schemas.AnswerHeaders, Header()],
) -> Status[None]:
    """Answer a prompt, or vote on it."""
    await give(request, interaction_id, body, headers, missing=claims.NO_PROMPT)
    return Status(204, None)


@router.post(
    "/v1/prompts/{uuid:interaction_id}/claim", response=schemas.PromptTold, url_name="claim_prompt"
)
async def claim(
    request: AuthenticatedRequest, interaction_id: UUID, body: schemas.ClaimBody
) -> object:
    """Claim an assigned prompt, give it back, or hand it to another user."""
    person = request.auth.person
    claim_state = await change_claim(
        body.change,
        str(interaction_id),
        to=body.to,
        note=body.note,
        by=person,
        via="http",
    )
    if detail := claim_refusal(claim_state, person.username):
        is_stale = claim_state.outcome == "stale"
        facts = (
            {"interaction_status": claim_state.status}
            if is_stale
            else {"claimed_by": claim_state.assignee}
        )
        raise Failure(409, "invalid_data_content", detail, **facts)
    return await reads.read_for(person.id, _read, person.id, interaction_id)


@router.get("/v1/prompts/{uuid:interaction_id}/people", response=schemas.People)
async def people(
    request: AuthenticatedRequest,
    interaction_id: UUID,
    query: Annotated[schemas.PeopleQuery, Query()],
) -> object:
    """Find people by name to whom the person can hand the prompt on; guests find nobody."""
    delegates = await claims.find_people(str(interaction_id), query.q, request.auth.person)
    return {
        "people": [{"username": delegate.username, "name": delegate.name} for delegate in delegates]
    }


def _read(reader: UserId, interaction: UUID) -> JsonObject:
    prompt_and_right = find_prompt(reader, interaction)
    if prompt_and_right is None:
        raise NotFound(claims.NO_PROMPT)
    prompt, may = prompt_and_right
    [prompt_object] = _prompt_objects([prompt], reader, may_answer=may)
    return {**prompt_object, "shared": list(_shared_messages(prompt)) if may else []}


def _shared_messages(prompt: Interaction) -> Iterator[dict[str, str]]:
    for run in read_shared(prompt):
        yield {"role": "user", "text": run["message"]}
        yield {"role": "assistant", "text": "\n\n".join(map(in_words, run["said"]))}


def _prompt_objects(
    prompts: Sequence[Interaction], reader: UserId, *, may_answer: bool
) -> list[JsonObject]:
    views = QuestionView.of_all(prompts, reader, may_answer=may_answer)
    return [_prompt_object(view, view.interaction) for view in views]


def _prompt_object(view: QuestionView, row: Interaction) -> JsonObject:
    return {
        "interaction_id": row.pk,
        "status": row.status,
        "prompt": row.prompt,
        "workflow": row.run.workflow,
        "owner": view.owner,
        "conversation_id": row.conversation.conversation_id if view.is_own else None,
        "may_answer": view.may_answer and view.is_pending,
        "to": view.to,
        "assignee": view.assignee,
        "note": view.rules.note,
        "needed": view.needed_votes,
        "voted": view.vote_count,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "expires_at": row.expires_at,
        "response": row.response,
        "answered_by": view.answered_by,
        "answered_at": row.answered_at,
        "response_url": reverse("chat:chat_api:answer_prompt", args=[row.pk]),
        "claim_url": reverse("chat:chat_api:claim_prompt", args=[row.pk]),
    }
