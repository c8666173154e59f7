"""Existing runs: their states, their answers, and the actions of operators."""

from typing import Annotated
from uuid import UUID, uuid4

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.urls import reverse
from ninja import Header, Status
from pydantic_core import from_json

from chat_app import feedback
from chat_app.api import results, schemas
from chat_app.api.auth import AuthenticatedRequest
from chat_app.api.problems import Failure, ProblemRouter
from chat_app.api.run_selectors import (
    find_staff,
    read_execution,
    read_monitor,
    read_run,
)
from chat_app.wire.frames import timestamp
from sessions_app import runs
from sessions_app.conversations import stops
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import answers
from sessions_app.interactions.answers import AnswerResult, IncomingAnswer, Outcome
from sessions_app.models import Conversation, Interaction, Run
from sessions_app.questions.late_words import late_reason
from sessions_app.storage import reads

router = ProblemRouter(tags=["Runs"])

ExecutionState = (
    schemas.Running
    | schemas.WaitingForOthers
    | schemas.WaitingForAnswer
    | schemas.WaitingForConsent
    | schemas.Completed
    | schemas.Failed
)


@router.get("/executions/{uuid:execution_id}", response=ExecutionState, exclude_unset=True)
async def execution(request: AuthenticatedRequest, execution_id: UUID) -> object:
    """Return the state of a run, with its result, or the prompts that it waits for."""
    reader = request.auth.person.id
    execution = await reads.read_for(reader, read_execution, reader, execution_id)
    run = execution.run
    state: results.Json = {"execution_id": str(run.id), "run_status": run.status}
    if stop := results.stop_at(execution):
        return state | stop
    if run.status in Run.UNFINISHED:
        return state | {"status": "running"}
    if run.status == Run.Status.COMPLETED:
        result = results.result(execution, run.client_format)
        return state | {"status": "completed", "result": result}
    return state | {"status": "failed", "error": results.failure(run)[1]}


@router.delete("/executions/{uuid:execution_id}", response={202: None})
async def cancel(request: AuthenticatedRequest, execution_id: UUID) -> Status[None]:
    """Ask a run to stop; its status says when it has. One that has ended stays as it is."""
    owner = request.auth.person.id
    run = await reads.read_for(owner, read_run, owner, execution_id)
    conversation_id = run.conversation.conversation_id
    await stops.stop(owner=owner, conversation_id=conversation_id, run=str(run.id))
    return Status(202, None)


@router.post("/executions/{uuid:execution_id}/resume", response={202: None}, tags=["Operating"])
async def resume(request: AuthenticatedRequest, execution_id: UUID) -> Status[None]:
    """Continue a failed or suspended run. For staff who may change runs."""
    if not await runs.aresume(execution_id, by=await _operator(request)):
        raise Failure(409, "invalid_message", "The run neither failed nor is suspended.")
    return Status(202, None)


@router.post(
    "/executions/{uuid:execution_id}/fork", response={202: schemas.Forked}, tags=["Operating"]
)
async def fork(
    request: AuthenticatedRequest,
    execution_id: UUID,
    body: schemas.ForkBody,
    headers: Annotated[schemas.AnswerHeaders, Header()],
) -> object:
    """Start a new run that keeps what another did before a position. For staff who may change runs.

    `user-message-id` makes a repeat of the request harmless.
    """
    by, key = await _operator(request), headers.user_message_id
    run = await runs.afork(execution_id, position=body.position, by=by, key=key)
    status_url = reverse("chat:chat_api:execution", args=[run])
    return Status(202, {"execution_id": run, "status_url": status_url})


async def _operator(request: AuthenticatedRequest) -> AbstractBaseUser:
    return await _staff(request, "change runs", "change_run")


async def _staff(
    request: AuthenticatedRequest, activity: str, *permissions: str
) -> AbstractBaseUser:
    """Return the user of the request, if that user has the admin permission for the action."""
    reader = request.auth.person.id
    user = await reads.read_for(reader, find_staff, reader, *permissions)
    if user is None:
        raise Failure(403, "user_auth_error", f"This is for staff who may {activity}.")
    return user


@router.post(
    "/executions/{uuid:execution_id}/interactions/{uuid:interaction_id}/response",
    response={204: None},
)
async def answer(
    request: AuthenticatedRequest,
    execution_id: UUID,
    interaction_id: UUID,
    body: schemas.AnswerBody,
    headers: Annotated[schemas.AnswerHeaders, Header()],
) -> Status[None]:
    """Answer the prompt that a run waits for."""
    owner = request.auth.person.id
    asked = Interaction.objects.filter(pk=interaction_id, run=execution_id)
    own = asked.filter(conversation__in=Conversation.objects.of(owner))
    missing = "There is no such interaction."
    if not await reads.read_for(owner, own.exists):
        raise NotFound(missing)
    await give(request, interaction_id, body, headers, missing=missing)
    return Status(204, None)


async def give(
    request: AuthenticatedRequest,
    interaction: UUID,
    body: schemas.AnswerBody,
    headers: schemas.AnswerHeaders,
    *,
    missing: str,
) -> None:
    """Answer a prompt for the person of the request.

    Raises:
        NotFound: the person has no such prompt to answer; the error's text is `missing`.
        Failure: the answer comes too late.
    """
    answer_result = await answers.answer(
        by=request.auth.person,
        conversation_id=None,
        answer=IncomingAnswer(
            answer_id=headers.user_message_id or str(uuid4()),
            answer=body.response.answer,
            interaction=str(interaction),
            via="http",
            input_type=body.response.answered_type,
        ),
    )
    if answer_result.outcome == Outcome.NOT_FOUND:
        raise NotFound(missing)
    if answer_result.outcome not in answers.TAKEN:
        raise _too_late(answer_result)


@router.post("/callbacks/{token}", auth=None, response={204: None})
async def callback(request: HttpRequest, token: str) -> Status[None]:
    """Send a run what it waits for; its workflow made the URL. What comes again changes nothing.

    The body is JSON of any kind, or empty.
    """
    try:
        payload = from_json(request.body) if request.body else None
    except ValueError as error:
        raise Invalid(f"The body is not JSON: {error}") from None
    outcome = await runs.acall_back(token, payload)
    if outcome == Outcome.STALE:
        raise Failure(410, "interaction_timeout", "The run has ended.")
    return Status(204, None)


@router.get("/monitor/users", response=schemas.Monitor, tags=["Monitoring"])
async def monitor(request: AuthenticatedRequest, user_id: str | None = None) -> object:
    """List the users' live builders, or those of one user. For staff who may view host leases."""
    await _staff(request, "view host leases", "view_hostlease", "change_hostlease")
    return await reads.read_for(request.auth.person.id, read_monitor, user_id)


@router.post("/feedback", response=schemas.Thanks)
async def give_feedback(request: AuthenticatedRequest, body: schemas.FeedbackBody) -> object:
    """Give feedback on an answer, named by its trace. What is empty is taken back."""
    owner = request.auth.person.id
    run = await feedback.find_run(owner=owner, trace_id=body.observability_trace_id)
    await feedback.give(owner=owner, run=run, reaction=body.reaction_type, comment=body.comment)
    return {"message": "The feedback is kept."}


@router.get(
    "/mcp/client/tool/list",
    response=schemas.McpClients,
    # Require no authentication: the server of NAT's UI calls this without cookies, and the list is
    # public.
    auth=None,
    throttle=[],
    tags=["Monitoring"],
)
async def mcp_clients(request: AuthenticatedRequest) -> object:
    """List the MCP clients of the workflows: none."""
    return {"mcp_clients": []}


def _too_late(answer_result: AnswerResult) -> Failure:
    detail = late_reason(answer_result)
    if answer_result.outcome == Outcome.CLAIMED:
        return Failure(409, "invalid_data_content", detail, claimed_by=answer_result.by)
    at = timestamp(answer_result.at) if answer_result.at else None
    return Failure(
        400,
        "invalid_data_content",
        detail,
        interaction_status=answer_result.status,
        answered_by=answer_result.by,
        answered_at=at,
        answered_via=answer_result.via,
        response=answer_result.response,
    )
