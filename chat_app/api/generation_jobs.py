"""Runs as the peer's jobs: begun now, and asked about later, by a name that a client may give."""

import asyncio
from contextlib import suppress
from typing import Annotated
from uuid import uuid4

from django.urls import reverse
from ninja import Header, Query, Status

from chat_app.api import problems, results, schemas
from chat_app.api.auth import AuthenticatedRequest
from chat_app.api.problems import Failure, ProblemRouter
from chat_app.api.run_requests import begin, outcome
from chat_app.api.run_selectors import read_execution, read_job
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.models import Run
from sessions_app.models.people import UserId
from sessions_app.storage import reads

router = ProblemRouter(tags=["Runs"])

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
    request: AuthenticatedRequest,
    body: schemas.JobBody,
    headers: Annotated[schemas.RunHeaders, Header()],
    query: Annotated[schemas.RunQuery, Query()],
) -> object:
    """Run a workflow, and ask for its result later. The same `job_id` starts nothing new."""
    headers.user_message_id = body.job_id or headers.user_message_id or str(uuid4())
    started_run = await begin(
        request, headers, IncomingMessage("", body.input_message, "generate", query.workflow)
    )
    if body.sync_timeout:
        with suppress(TimeoutError, Failure):
            async with asyncio.timeout(body.sync_timeout):
                await outcome(started_run)
    else:
        started_run.place.leave()
    owner = request.auth.person.id
    job = await reads.read_for(owner, _job, owner, started_run.run)
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
        "output": results.result(run, execution.output, execution.usage, "generate")
        if is_done
        else None,
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
        f"{path}/job/{{job_id}}",
        response=schemas.Job,
        operation_id=f"{name}_job",
        url_name="job",
    )(status)
