"""The rendering of a run as HTTP responses: results, prompts, failures and streams. No queries.

The `id` of a server-sent event is the sequence up to which a client with this event has the whole
log. Therefore only the last of several server-sent events for one event of the log has the sequence
of the event.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from django.urls import reverse

from chat_app.api.run_feed import FollowedEvent
from chat_app.api.run_selectors import ExecutionRecord
from chat_app.wire.frames import Frame, View, dump, error_content, event_frames
from sessions_app.json_types import JsonObject
from sessions_app.models import Run
from sessions_app.prompts import type_of
from sessions_app.storage import clock

Json = JsonObject

STOPPED_TEXT = "The run was stopped."
QUESTION_TEXT = "The workflow waits for an answer, on the chat page or over a WebSocket:"
OTHERS_TEXT = "The workflow waits for an answer of"
SUSPENDED_TEXT = "The run is suspended: an administrator of this site must resume it."


def chunk(run: Run, delta: Json, *, finish_reason: str | None = None) -> Json:
    """Build OpenAI's `chat.completion.chunk`; the model is the workflow.

    The `run` must be loaded with its conversation.
    """
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


def result(execution: ExecutionRecord, client_format: str) -> Json:
    """Build the result of a run in the format that `client_format` names."""
    if not client_format.startswith("chat"):
        return {"value": execution.output}
    message = {"role": "assistant", "content": execution.output}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    completion = _completion_object(execution.run, "chat.completion", choice)
    return {**completion, "usage": execution.usage}


def stop_at(execution: ExecutionRecord) -> Json | None:
    """Build the response of a run that stops at prompts; None if there are none."""
    run, asked_others = execution.run.id, execution.asked_others
    if execution.prompts:
        view = View("", clock.now())
        return stop_at_frames(run, [event_frames(prompt, view)[0] for prompt in execution.prompts])
    return stop_for_others(run, asked_others) if asked_others else None


def stop_for_others(run: UUID, asked_others: list[Json]) -> Json:
    """Build the response of a run that waits for people other than its owner."""
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

    NAT's fields are those of the first prompt; `interactions` contains all prompts.
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
    """Return the reason why a run has no result, as a code and a sentence."""
    if run.status == Run.Status.CANCELLED:
        return "cancelled", STOPPED_TEXT
    error = run.error or {}
    if run.status == Run.Status.SUSPENDED:
        return "suspended", f"{SUSPENDED_TEXT} {error.get('message', '')}".strip()
    return "workflow_error", error.get("message") or "The workflow failed."


# An SSE comment without an empty line after it, as some clients read every empty line as an event.
HEARTBEAT = ":\n"
DONE = "data: [DONE]\n\n"


def data(content: Json) -> str:
    """Return a server-sent event with data, but without a name."""
    return f"data: {dump(content)}\n\n"


class Generate:
    """The format of a stream of plain values, with steps and traces between them."""

    # `tells_usage`: the stream ends with the token counts that the workflow reported. `usage`:
    # those counts.
    tells_usage = False
    usage: Mapping[str, int] = MappingProxyType({})

    def text(self, text: str) -> str:
        """Return the line for a piece of output."""
        return data({"value": text})

    def end(self) -> list[str]:
        """Return the end of a complete stream."""
        return []

    def extra_line(self, name: str, content: Json) -> list[str]:
        """Return a line with data other than output, under another field name than `data`."""
        return [f"{name}: {dump(content)}\n\n"]

    def step(self, frame: Frame) -> list[str]:
        """Return the lines about a step that has begun or is complete."""
        return self.extra_line("intermediate_data", _step(frame))

    def stop(self, content: Json) -> list[str]:
        """Return the lines about a prompt, with an error line for clients that show only text."""
        type_ = content["event_type"]
        error = error_content(type_, content["message"], {})["content"]
        return [f"event: {type_}\n{dump(error)}\n{data(content)}"]

    def restart(self, content: Json) -> list[str]:
        """Return the line about a restart of the run, which voids the output from an event on."""
        return [f"event: restart\n{data(content)}"]

    def error(self, content: Json) -> str:
        """Return an error as a bare line for NAT's clients, and as data for OpenAI's clients.

        OpenAI's clients raise the data as an error. SSE clients ignore a line that is not a field.
        """
        return f"{dump(content)}\n{_openai_error(content)}"


class Full(Generate):
    """A stream of values, with steps in the form of NAT's evaluation events.

    `types` are the event types to send, separated by commas; by default all.
    """

    def __init__(self, types: str | None) -> None:
        self._types = None if not types else types.split(",")

    def step(self, frame: Frame) -> list[str]:
        begins = frame["status"] == "in_progress"
        type_ = "FUNCTION_START" if begins else "FUNCTION_END"
        if self._types is not None and type_ not in self._types:
            return []
        step = _step(frame)
        event = {
            "event_type": type_,
            "event_timestamp": datetime.fromisoformat(frame["timestamp"]).timestamp(),
            "name": step["name"],
            "data": {"input" if begins else "output": step["payload"]},
            "UUID": step["id"],
        }
        return self.extra_line("intermediate_data", {**step, "type": type_, "payload": dump(event)})


class Chat(Generate):
    """A stream of OpenAI's chunks, with steps and traces between them."""

    def __init__(self, run: Run, *, role_sent: bool, tells_usage: bool) -> None:
        self._run = run
        self._role_sent = role_sent
        self.tells_usage = tells_usage

    def text(self, text: str) -> str:
        """Return a chunk of output; the first chunk contains the role."""
        role = {} if self._role_sent else {"role": "assistant"}
        self._role_sent = True
        return data(chunk(self._run, {**role, "content": text}))

    def end(self) -> list[str]:
        """Return the end of an OpenAI stream."""
        last = chunk(self._run, {}, finish_reason="stop")
        usage = {**last, "choices": [], "usage": dict(self.usage)}
        return [data(last), *([data(usage)] if self.tells_usage else []), DONE]


class Completions(Chat):
    """A stream of OpenAI's chunks only. A prompt is in a field that OpenAI's clients ignore."""

    def extra_line(self, name: str, content: Json) -> list[str]:
        return []

    def stop(self, content: Json) -> list[str]:
        return [data({**chunk(self._run, {}), content["event_type"]: content})]

    def restart(self, content: Json) -> list[str]:
        return [data({**chunk(self._run, {}), "restart": content})]

    def error(self, content: Json) -> str:
        return _openai_error(content)


def _openai_error(content: Json) -> str:
    error = {"code": content["code"], "message": content["message"], "type": "workflow_error"}
    return data({"error": error})


def write(followed_event: FollowedEvent, form: Generate) -> str:
    """Write the server-sent events of an event of the log."""
    # Use this stream's format, even if the message that started the run had another one.
    event = followed_event.event._replace(client_format="chat_stream")
    view = View("", clock.now(), followed_event.after, followed_event.settled_ids)
    parts = [
        part for frame in event_frames(event, view) for part in _parts(followed_event, frame, form)
    ]
    ids = [followed_event.after] * (len(parts) - 1) + [event.sequence]
    return "".join(f"id: {id_}\n{part}" for id_, part in zip(ids, parts, strict=False))


def _parts(followed_event: FollowedEvent, frame: Frame, form: Generate) -> list[str]:
    content = frame["content"]
    match frame["type"]:
        case "system_response_message":
            return [form.text(content["text"])] if frame["status"] == "in_progress" else []
        case "system_intermediate_message":
            return form.step(frame)
        case "observability_trace_message":
            return form.extra_line("observability_trace", content)
        case "system_interaction_message":
            stop = stop_at_frames(followed_event.run, [frame])
            return form.stop({"event_type": stop["status"], **stop})
        case "assignment_message" if content["interaction_id"] not in followed_event.settled_ids:
            asked = {name: content[name] for name in ("interaction_id", "text", "to")}
            stop = stop_for_others(followed_event.run, [{**asked, "assignee": None}])
            return form.stop({"event_type": "waits_for", **stop})
        case "restart_message":
            return form.restart(content)
        case "error_message":
            return [form.error(content)]
        case "run_update_message" if content["status"] == Run.Status.COMPLETED:
            return form.end()
        case "run_update_message" if content["status"] == Run.Status.CANCELLED:
            return [form.error(error_content("cancelled", STOPPED_TEXT, {})["content"])]
    return []


def _step(frame: Frame) -> Json:
    return {
        "id": frame["id"],
        "parent_id": frame["intermediate_parent_id"],
        "type": "markdown",
        "name": frame["content"]["name"],
        "payload": frame["content"]["payload"],
        "status": frame["status"],
    }
