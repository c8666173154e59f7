"""The HTTP paths that start a run and return its result, a stream, or a job to poll later."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any
from uuid import uuid4

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from ninja import Header, Query, Status

from chat_app.api import problems, results, schemas
from chat_app.api.auth import AuthenticatedRequest
from chat_app.api.problems import Failure, ProblemRouter
from chat_app.api.run_requests import RequestedRun, answer_streaming, begin, outcome
from chat_app.api.run_selectors import read_execution, read_job
from sessions_app.conversations import workflow_access
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.models import Run
from sessions_app.models.people import UserId
from sessions_app.storage import reads

router = ProblemRouter(tags=["Runs"])

Headers = Annotated[schemas.RunHeaders, Header()]
StreamHeaders = Annotated[schemas.StreamHeaders, Header()]
RunQuery = Annotated[schemas.RunQuery, Query()]
PromptResponse = schemas.InteractionRequired | schemas.OAuthRequired | schemas.WaitsForOthers
EVENTS = {"text/event-stream": {"schema": {"type": "string"}}}
STREAM = {200: {"description": "Server-sent events", "content": EVENTS}}


def post(*paths: str, result: object = None, streams: bool = False) -> Callable[[Any], Any]:
    """Register a POST view under several paths, each with its own name in the OpenAPI document."""

    def register(view: Any) -> object:
        for path in paths:
            router.post(
                path,
                response={200: result, 202: PromptResponse} if result else None,
                exclude_unset=True,
                operation_id=path.strip("/").replace("/", "_"),
                summary=(view.__doc__ or path).splitlines()[0],  # path if -OO removed docstrings
                openapi_extra={
                    "responses": problems.RUN_PROBLEM_RESPONSE | (STREAM if streams else {})
                },
            )(view)
        return view

    return register


@post("/generate", "/v1/workflow", result=schemas.Result)
async def generate(
    request: AuthenticatedRequest,
    response: HttpResponse,
    body: schemas.GenerateBody,
    headers: Headers,
    query: RunQuery,
) -> object:
    """Run a workflow, and wait for its result or its first prompt."""
    message = IncomingMessage("", body.input_message, "generate", query.workflow)
    return await _single(await begin(request, headers, message), response)


@post("/generate/stream", "/v1/workflow/stream", streams=True)
async def generate_stream(
    request: AuthenticatedRequest,
    body: schemas.GenerateBody,
    headers: StreamHeaders,
    query: RunQuery,
) -> StreamingHttpResponse:
    """Run a workflow, and stream its output."""
    message = IncomingMessage("", body.input_message, "generate_stream", query.workflow)
    return answer_streaming(await begin(request, headers, message), results.Generate())


@post("/generate/full", "/v1/workflow/full", streams=True)
async def generate_full(
    request: AuthenticatedRequest,
    body: schemas.GenerateBody,
    headers: StreamHeaders,
    query: Annotated[schemas.FullQuery, Query()],
) -> StreamingHttpResponse:
    """Run a workflow, and stream its output with its steps as the peer's evaluation reads them."""
    message = IncomingMessage("", body.input_message, "generate_stream", query.workflow)
    form = results.Full(query.filter_steps)
    return answer_streaming(await begin(request, headers, message), form)


@post("/chat", "/v1/chat", result=schemas.Completion)
async def chat(
    request: AuthenticatedRequest,
    response: HttpResponse,
    body: schemas.ChatBody,
    headers: Headers,
    query: RunQuery,
) -> object:
    """Send a message, and wait for the answer or the first prompt."""
    message = _message(body, query, "chat")
    return await _single(await begin(request, headers, message), response)


@post("/chat/stream", "/v1/chat/stream", streams=True)
async def chat_stream(
    request: AuthenticatedRequest, body: schemas.ChatBody, headers: StreamHeaders, query: RunQuery
) -> StreamingHttpResponse:
    """Send a message, and stream the answer with its steps."""
    return await _stream_chat(results.Chat, request, body, headers, query)


@post("/v1/chat/completions", result=schemas.Completion)
async def completions(
    request: AuthenticatedRequest,
    response: HttpResponse,
    body: schemas.ChatBody,
    headers: StreamHeaders,
    query: RunQuery,
) -> object:
    """Answer as OpenAI's chat completions do, whole or (`stream`) in chunks. The model is the
    workflow.
    """
    if not body.stream:
        headers.last_event_id = None
        return await _single(await begin(request, headers, _message(body, query, "chat")), response)
    return await _stream_chat(results.Completions, request, body, headers, query)


@router.get("/v1/models", response=schemas.Models)
async def models(request: AuthenticatedRequest) -> object:
    """List the workflows that the user may use, as OpenAI's clients list models."""
    user = request.auth.person.id
    usable = await reads.read_for(user, workflow_access.usable, user)
    return {"data": [{"id": offer.workflow.name} for offer in usable]}


@router.get("/v1/models/{path:model}", response=schemas.Model)
async def model(request: AuthenticatedRequest, model: str) -> object:
    """Return a workflow that the user may use, as OpenAI's clients read a model."""
    user = request.auth.person.id
    usable = await reads.read_for(user, workflow_access.usable, user)
    if model not in (offer.workflow.name for offer in usable):
        detail = f"There is no workflow {model!r} that you may use: /v1/models lists them."
        error = {"code": "model_not_found", "message": detail, "type": "invalid_request_error"}
        raise Failure(404, "invalid_data_content", detail, error={**error, "param": "model"})
    return {"id": model}


def _message(
    body: schemas.ChatBody, query: schemas.RunQuery, client_format: str
) -> IncomingMessage:
    """Build the message. OpenAI's clients always name a model, which may be a workflow."""
    return IncomingMessage("", body.text or "", client_format, query.workflow, body.model)


async def _stream_chat(
    form: type[results.Chat],
    request: AuthenticatedRequest,
    body: schemas.ChatBody,
    headers: schemas.StreamHeaders,
    query: schemas.RunQuery,
) -> StreamingHttpResponse:
    requested_run = await begin(request, headers, _message(body, query, "chat_stream"))
    chunks = form(
        requested_run.run, role_sent=requested_run.is_continuation, tells_usage=body.tells_usage
    )
    return answer_streaming(requested_run, chunks)


async def _single(requested_run: RequestedRun, response: HttpResponse) -> Status[object]:
    for name, value in requested_run.headers.items():
        response[name] = value
    try:
        code, content = await outcome(requested_run)
    except Failure as failure:
        # Return the error as final: OpenAI's clients would retry the request, and start another
        # run.
        failure.headers = requested_run.headers | {"x-should-retry": "false"}
        raise
    return Status(code, content)


STATUSES = {
    Run.Status.QUEUED: "submitted",
    Run.Status.RUNNING: "running",
    Run.Status.WAITING: "running",
    Run.Status.SUSPENDED: "failure",
    Run.Status.COMPLETED: "success",
    Run.Status.FAILED: "failure",
    Run.Status.CANCELLED: "interrupted",
}


async def start(
    request: AuthenticatedRequest, body: schemas.JobBody, headers: Headers, query: RunQuery
) -> object:
    """Run a workflow, and ask for its result later. The same `job_id` starts nothing new."""
    headers.user_message_id = body.job_id or headers.user_message_id or str(uuid4())
    message = IncomingMessage("", body.input_message, "generate", query.workflow)
    requested_run = await begin(request, headers, message)
    if body.sync_timeout:
        with suppress(TimeoutError, Failure):
            async with asyncio.timeout(body.sync_timeout):
                await outcome(requested_run)
    else:
        requested_run.slot.release()
    owner = request.auth.person.id
    job = await reads.read_for(owner, _job, owner, requested_run.run)
    return Status(202 if job["status"] in ("submitted", "running") else 200, job)


async def status(request: AuthenticatedRequest, job_id: str) -> object:
    """Return the status of a job, with its result once it is over."""
    owner = request.auth.person.id
    return await reads.read_for(owner, lambda: _job(owner, read_job(owner, job_id)))


def _job(owner: UserId, run: Run) -> results.Json:
    execution = read_execution(owner, run.pk)
    run = execution.run
    name = STATUSES[Run.Status(run.status)]
    is_done = run.status == Run.Status.COMPLETED
    return {
        "job_id": run.message_id,
        "status": name,
        "error": results.failure(run)[1] if name in ("failure", "interrupted") else None,
        "output": results.result(execution, "generate") if is_done else None,
        "created_at": run.created_at,
        "updated_at": run.finished_at or run.started_at or run.created_at,
        "expires_at": None,
        "execution_id": run.pk,
        "status_url": reverse("chat:chat_api:execution", args=[run.pk]),
    }


for path in ("/generate/async", "/v1/workflow/async"):
    name = path.strip("/").replace("/", "_")
    router.post(
        path,
        response={200: schemas.Job, 202: schemas.Job},
        operation_id=name,
        url_name="generate_async",
        openapi_extra={"responses": problems.RUN_PROBLEM_RESPONSE},
    )(start)
    router.get(
        f"{path}/job/{{job_id}}", response=schemas.Job, operation_id=f"{name}_job", url_name="job"
    )(status)
