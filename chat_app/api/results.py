"""How a run is put for a client over HTTP: results, stops at a prompt, failures. Pure."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.urls import reverse

from chat_app.protocol.frames import Frame, View, event_frames
from sessions_app.models import Run
from sessions_app.storage.records import EventRecord

Json = dict[str, Any]

STOPPED = "The run was stopped."
SUSPENDED = "The run is suspended: someone who runs this site has to resume it."


def completion(run: Run, text: str) -> Json:
    """OpenAI's `chat.completion`; the model is the workflow. `run` has its conversation with it."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _completion_object(run, "chat.completion", choice)


def chunk(run: Run, delta: Json, *, finish_reason: str | None = None) -> Json:
    """A `chat.completion.chunk`, of the same kind."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _completion_object(run, "chat.completion.chunk", choice)


def _completion_object(run: Run, kind: str, choice: Json) -> Json:
    return {
        "id": f"chatcmpl-{run.id.hex}",
        "object": kind,
        "created": int(run.created_at.timestamp()),
        "model": run.conversation.workflow,
        "choices": [choice],
    }


def result(run: Run, text: str, client_format: str) -> Json:
    """The result of a run, in the form of a message of that `client_format`."""
    if client_format.startswith("generate"):
        return {"value": text}
    return completion(run, text)


def stop_at(prompt: EventRecord) -> Json:
    """What a client gets of a run that stops at a prompt: the event that opened it."""
    frame = event_frames(prompt, View("", datetime.now(UTC)))[0]
    return stop_at_frame(prompt.run, frame)


def stop_at_frame(run: UUID, frame: Frame) -> Json:
    """The same, from the frame of the prompt."""
    prompt = frame["content"]
    stop = {
        "execution_id": str(run),
        "status_url": reverse("chat:chat_api:execution", args=[run]),
        "interaction_id": frame["interaction_id"],
        "response_url": reverse("chat:chat_api:answer", args=[run, frame["interaction_id"]]),
    }
    if prompt["input_type"] == "oauth_consent":
        state = parse_qs(urlsplit(prompt["text"]).query).get("state", [""])[0]
        return {
            **stop,
            "status": "oauth_required",
            "auth_url": prompt["text"],
            "oauth_state": state,
        }
    return {**stop, "status": "interaction_required", "prompt": prompt}


def failure(run: Run) -> tuple[str, str]:
    """Why a run has no result, as a code and a sentence."""
    if run.status == Run.Status.CANCELLED:
        return "cancelled", STOPPED
    error = run.error or {}
    if run.status == Run.Status.SUSPENDED:
        return "suspended", f"{SUSPENDED} {error.get('message', '')}".strip()
    return "workflow_error", error.get("message") or "The workflow failed."
