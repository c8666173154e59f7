"""The form of a run for HTTP clients: results, stops at a prompt, failures. No reads."""

from datetime import UTC, datetime
from uuid import UUID

from django.urls import reverse

from chat_app.api.run_selectors import Execution
from chat_app.wire.frames import Frame, View, event_frames
from sessions_app.json_types import JsonObject
from sessions_app.models import Run
from sessions_app.prompts import type_of

Json = JsonObject

STOPPED_TEXT = "The run was stopped."
QUESTION_TEXT = "The workflow waits for an answer, on the chat page or over a WebSocket:"
OTHERS_TEXT = "The workflow waits for an answer of"
SUSPENDED_TEXT = "The run is suspended: an administrator of this site must resume it."


def chunk(run: Run, delta: Json, *, finish_reason: str | None = None) -> Json:
    """Build OpenAI's `chat.completion.chunk`; the model is the workflow. `run` has its conversation
    with it.
    """
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _completion_object(run, "chat.completion.chunk", choice)


def usage_chunk(run: Run, usage: dict[str, int]) -> Json:
    """Build the chunk with which OpenAI's streams end for who asked for the usage."""
    return {**_completion_object(run, "chat.completion.chunk"), "usage": usage}


def _completion_object(run: Run, kind: str, *choices: Json) -> Json:
    return {
        "id": f"chatcmpl-{run.id.hex}",
        "object": kind,
        "created": int(run.created_at.timestamp()),
        "model": run.conversation.workflow,
        "choices": list(choices),
    }


def result(execution: Execution, client_format: str) -> Json:
    """Build the result of a run, in the form of a message of that `client_format`."""
    if not client_format.startswith("chat"):
        return {"value": execution.output}
    message = {"role": "assistant", "content": execution.output}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    completion = _completion_object(execution.run, "chat.completion", choice)
    return {**completion, "usage": execution.usage}


def stop_at(execution: Execution) -> Json | None:
    """Build the response of a run that stops at prompts; None where there are none."""
    run, asked_others = execution.run.id, execution.asked_others
    if execution.prompts:
        view = View("", datetime.now(UTC))
        return stop_at_frames(run, [event_frames(prompt, view)[0] for prompt in execution.prompts])
    return stop_for_others(run, asked_others) if asked_others else None


def stop_for_others(run: UUID, asked_others: list[Json]) -> Json:
    """Build the response of a run that waits for other people than its owner."""
    first = asked_others[0]
    names = ", ".join(first["to"]) or "others"
    return {
        **_reference(run),
        "status": "running",
        "message": f"{OTHERS_TEXT} {names}: {first['text']}",
        "waits_for": asked_others,
    }


def _reference(run: UUID) -> Json:
    status_url = reverse("chat:chat_api:execution", args=[run])
    return {"execution_id": str(run), "status_url": status_url}


def stop_at_frames(run: UUID, frames: list[Frame]) -> Json:
    """Build the response of a run that stops at prompts of its owner, from the prompts' frames.

    The peer's fields are those of the first; all are in `interactions`.
    """
    interactions = [_interaction(frame) for frame in frames]
    return {
        **_reference(run),
        **interactions[0],
        "message": f"{QUESTION_TEXT} {frames[0]['content']['text']}",
        "interactions": interactions,
    }


def _interaction(frame: Frame) -> Json:
    prompt, interaction = frame["content"], frame["interaction_id"]
    reference = {
        "interaction_id": interaction,
        "response_url": reverse("chat:chat_api:answer", args=[frame["run_id"], interaction]),
    }
    return {**reference, **type_of(prompt["input_type"]).http(prompt)}


def failure(run: Run) -> tuple[str, str]:
    """Say why a run has no result, as a code and a sentence."""
    if run.status == Run.Status.CANCELLED:
        return "cancelled", STOPPED_TEXT
    error = run.error or {}
    if run.status == Run.Status.SUSPENDED:
        return "suspended", f"{SUSPENDED_TEXT} {error.get('message', '')}".strip()
    return "workflow_error", error.get("message") or "The workflow failed."
