"""Events of a run as server-sent events. Pure.

Each carries as `id` the sequence up to which a client has everything once it has that one, so of
several that come from one event of the log only the last has its sequence.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from chat_app.api.results import (
    STOPPED_TEXT,
    Json,
    chunk,
    stop_at_frames,
    stop_for_others,
    usage_chunk,
)
from chat_app.api.run_feed import FollowedEvent
from chat_app.wire.frames import Frame, View, dump, error_content, event_frames
from sessions_app.models import Run

# A comment without an empty line behind it: some clients take every empty line for an event.
HEARTBEAT = ":\n"
DONE = "data: [DONE]\n\n"


def data(content: Json) -> str:
    """Write a plain event."""
    return f"data: {dump(content)}\n\n"


class Generate:
    """Values, with steps and traces between them."""

    # Whether the stream is to end with the tokens that the workflow reported; and these.
    tells_usage = False
    usage: Mapping[str, int] = MappingProxyType({})

    def text(self, text: str) -> str:
        """Write a piece of output."""
        return data({"value": text})

    def end(self) -> list[str]:
        """Write the end of a complete stream."""
        return []

    def extra_line(self, name: str, content: Json) -> list[str]:
        """Write what is not output: a line of another name than `data`."""
        return [f"{name}: {dump(content)}\n\n"]

    def step(self, frame: Frame) -> list[str]:
        """Write that a step begins, or is complete."""
        return self.extra_line("intermediate_data", _step(frame))

    def stop(self, content: Json) -> list[str]:
        """Write a stop at a prompt: an event, and a line as of an error for clients that show only
        text.
        """
        type_ = content["event_type"]
        error = error_content(type_, content["message"], {})["content"]
        return [f"event: {type_}\n{dump(error)}\n{data(content)}"]

    def restart(self, content: Json) -> list[str]:
        """Write that the output is cut, and starts again."""
        return [f"event: restart\n{data(content)}"]

    def error(self, content: Json) -> str:
        """Write an error: a line as the peer's clients read it, and the data that OpenAI's raise.

        What reads server-sent events passes over a line that is not a field.
        """
        return f"{dump(content)}\n{_openai_error(content)}"


class Full(Generate):
    """Values, with steps as the peer's evaluation reads them: the payload is one of its events.

    `types` are those that are sent, with commas between; without it all are.
    """

    def __init__(self, types: str | None) -> None:
        self._types = None if not types else types.split(",")

    def step(self, frame: Frame) -> list[str]:
        """Write a step as the start or the end of a function."""
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
    """OpenAI's chunks, with steps and traces between them."""

    def __init__(self, run: Run, *, role_sent: bool, tells_usage: bool) -> None:
        self._run = run
        self._role_sent = role_sent
        self.tells_usage = tells_usage

    def text(self, text: str) -> str:
        """Write a chunk; the first names the role."""
        role = {} if self._role_sent else {"role": "assistant"}
        self._role_sent = True
        return data(chunk(self._run, {**role, "content": text}))

    def end(self) -> list[str]:
        """Write the end as OpenAI ends a stream."""
        usage = [data(usage_chunk(self._run, dict(self.usage)))] if self.tells_usage else []
        return [data(chunk(self._run, {}, finish_reason="stop")), *usage, DONE]


class Completions(Chat):
    """OpenAI's chunks alone. A prompt comes in a field that its clients pass over."""

    def extra_line(self, name: str, content: Json) -> list[str]:
        """Write nothing beside the chunks."""
        return []

    def stop(self, content: Json) -> list[str]:
        """Write an empty chunk with the prompt beside it."""
        return [data({**chunk(self._run, {}), content["event_type"]: content})]

    def restart(self, content: Json) -> list[str]:
        """Write an empty chunk that says from where on the output starts again."""
        return [data({**chunk(self._run, {}), "restart": content})]

    def error(self, content: Json) -> str:
        """Write only the data that OpenAI's clients raise."""
        return _openai_error(content)


def _openai_error(content: Json) -> str:
    error = {"code": content["code"], "message": content["message"], "type": "workflow_error"}
    return data({"error": error})


def write(followed_event: FollowedEvent, form: Generate) -> str:
    """Write the server-sent events of an event of the log."""
    # The form of this stream, whatever the message that started the run asked for.
    event = followed_event.event._replace(client_format="chat_stream")
    view = View("", datetime.now(UTC), followed_event.after, followed_event.settled_ids)
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
