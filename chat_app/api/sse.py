"""Events of a run as server-sent events. Pure.

Each carries as `id` the sequence up to which a client has everything once it has that one, so of
several that come from one event of the log only the last has its sequence.
"""

from dataclasses import replace
from datetime import UTC, datetime

from chat_app.api.results import STOPPED, Json, chunk, stop_at_frame
from chat_app.api.run_feed import Followed
from chat_app.protocol.frames import Frame, View, dump, event_frames
from sessions_app.models import Run

# A comment without an empty line behind it: some clients take every empty line for an event.
HEARTBEAT = ":\n"
DONE = "data: [DONE]\n\n"


def data(content: Json) -> str:
    """A plain event."""
    return f"data: {dump(content)}\n\n"


def error(code: str, message: str) -> str:
    """An error, in the form that OpenAI's clients raise."""
    return data({"error": {"code": code, "message": message, "type": "workflow_error"}})


class Generate:
    """Values, with steps and traces between them."""

    def text(self, text: str) -> str:
        """A piece of output."""
        return data({"value": text})

    def end(self) -> list[str]:
        """It is complete."""
        return []

    def beside(self, name: str, content: Json) -> list[str]:
        """What is no output: a line of another name than `data`."""
        return [f"{name}: {dump(content)}\n\n"]

    def event(self, name: str, content: Json) -> list[str]:
        """A named event."""
        return [f"event: {name}\n{data(content)}"]


class Chat(Generate):
    """OpenAI's chunks, with steps and traces between them."""

    def __init__(self, run: Run, *, begun: bool) -> None:
        self._run = run
        self._begun = begun

    def text(self, text: str) -> str:
        """A chunk; the first names the role."""
        role = {} if self._begun else {"role": "assistant"}
        self._begun = True
        return data(chunk(self._run, {**role, "content": text}))

    def end(self) -> list[str]:
        """As OpenAI ends a stream."""
        return [data(chunk(self._run, {}, finish_reason="stop")), DONE]


class Completions(Chat):
    """OpenAI's chunks alone. A prompt comes in a field that its clients pass over."""

    def beside(self, name: str, content: Json) -> list[str]:
        """Nothing beside the chunks."""
        return []

    def event(self, name: str, content: Json) -> list[str]:
        """A chunk that says nothing, with what happened beside it."""
        return [data({**chunk(self._run, {}), name: content})]


def write(followed: Followed, form: Generate) -> str:
    """The server-sent events of an event of the log."""
    # The form of this stream, whatever the message that started the run asked for.
    event = replace(followed.event, client_format="chat_stream")
    view = View("", datetime.now(UTC), followed.after, followed.settled)
    parts = [part for frame in event_frames(event, view) for part in _parts(frame, form)]
    ids = [followed.after] * (len(parts) - 1) + [event.sequence]
    return "".join(f"id: {id_}\n{part}" for id_, part in zip(ids, parts, strict=False))


def _parts(frame: Frame, form: Generate) -> list[str]:
    content = frame["content"]
    match frame["type"]:
        case "system_response_message":
            return [form.text(content["text"])] if frame["status"] == "in_progress" else []
        case "system_intermediate_message":
            return form.beside("intermediate_data", _step(frame))
        case "observability_trace_message":
            return form.beside("observability_trace", content)
        case "system_interaction_message":
            stop = stop_at_frame(frame["run_id"], frame)
            return form.event(stop["status"], {"event_type": stop["status"], **stop})
        case "restart_message":
            return form.event("restart", content)
        case "error_message":
            return [error(content["code"], content["message"])]
        case "run_update_message" if content["status"] == Run.Status.COMPLETED:
            return form.end()
        case "run_update_message" if content["status"] == Run.Status.CANCELLED:
            return [error("cancelled", STOPPED)]
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
