"""The frames by which a client gets an event of the log. Pure functions.

Only the last frame of an event has its `sequence`: a client that has seen this number has the whole
event.
"""

import json
import math
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Run
from sessions_app.questions.asked_event import AskedEvent
from sessions_app.storage.records import EventRecord, trim

Frame = JsonObject

# Formats of messages with a single result: the text of the run is withheld until its end.
SINGLE = frozenset({"chat", "generate"})
FINISHED = frozenset(status.value for status in Run.FINISHED)


class View(NamedTuple):
    """The facts, besides an event, that its frames depend on.

    `conversation_id` is the client's name for the conversation; `after` is the client's cursor;
    `settled_ids` are ids of interactions that are known to be settled; `result` is the whole text
    of a run that ends with one result; `link` makes the URL of an interaction's page.
    """

    conversation_id: str
    now: datetime
    after: int = 0
    settled_ids: Container[str] = ()
    result: str = ""
    link: Callable[[str], str] = str


# The functions that make the frames of each event type, for one kind of client.
Makers = Mapping[str, Callable[[EventRecord, View], list[Frame]]]

_encoder = msgspec.json.Encoder()


def encode(frame: Frame) -> bytes:
    """Encode a frame as JSON in UTF-8."""
    try:
        return _encoder.encode(frame)
    except (TypeError, UnicodeEncodeError):
        # msgspec refuses half of a surrogate pair, which only an escape can encode, and subclasses
        # of str.
        return json.dumps(frame, separators=(",", ":")).encode()


def dump(frame: Frame) -> str:
    """Encode a frame as a JSON string."""
    return encode(frame).decode()


def timestamp(at: datetime) -> str:
    """Format a time as ISO 8601 in UTC, with Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def is_end(event: EventRecord) -> bool:
    """Return whether an event is the last one of its run."""
    return event.type == Event.Type.RUN and event.payload["status"] in FINISHED


def error_content(code: str, message: str, details: JsonObject) -> Frame:
    """Return the fields of an error: `content` in NAT's form, and `details` as values.

    The details in NAT's form are a text. If the text is empty, NAT's UI shows words of its own, so
    the code takes its place.
    """
    text = dump(details) if details else code
    content = {"code": code, "message": message, "details": text}
    return {"content": content, "details": details}


def _frame(
    event: EventRecord, view: View, type_: str, content: object, *, done: bool = True, id_: str = ""
) -> Frame:
    run = str(event.run)
    return {
        "type": type_,
        "id": id_ or f"{run}:{event.sequence}",
        "thread_id": id_ or run,
        "parent_id": event.message_id,
        "content": content,
        "status": "complete" if done else "in_progress",
        "conversation_id": view.conversation_id,
        "timestamp": timestamp(event.created_at),
        "run_id": run,
    }


def response(event: EventRecord, view: View, text: str, *, done: bool = False) -> Frame:
    """Build the frame of a piece of the run's output; `done` marks the end of the output."""
    content = {"text": text}
    if event.client_format.startswith("generate"):
        content |= {"output": text, "value": text}
    return _frame(event, view, "system_response_message", content, done=done)


def _user_message(event: EventRecord, view: View) -> list[Frame]:
    content = {"role": "user", "id": event.message_id, "text": event.payload["text"]}
    if fork := event.payload.get("fork"):
        content["fork"] = fork
    return [_frame(event, view, "conversation_message", content)]


def _text(event: EventRecord, view: View) -> list[Frame]:
    text = "" if event.client_format in SINGLE else trim(event, after=view.after)
    return [response(event, view, text)] if text else []


def _restart(event: EventRecord, view: View) -> list[Frame]:
    content = {"from_sequence": event.payload["from_sequence"]}
    return [_frame(event, view, "restart_message", content)]


def step(event: EventRecord, view: View, content: Frame, *, id_: str, state: str) -> Frame:
    """Build the frame of a step's beginning or end; `content` has its `name` and `payload`."""
    done = state != "in_progress"
    frame = _frame(event, view, "system_intermediate_message", content, done=done, id_=id_)
    return {**frame, "intermediate_parent_id": "default", "state": state}


def _step(event: EventRecord, view: View) -> list[Frame]:
    payload = event.payload
    content = {"name": payload["name"], "payload": payload["payload"]}
    return [step(event, view, content, id_=payload["step_id"], state=payload["state"])]


def _interaction(event: EventRecord, view: View) -> list[Frame]:
    asked = AskedEvent.of(event.payload)
    if asked.interaction in view.settled_ids:  # else a plain client reopens the settled prompt
        return []
    content, expires_at = {**asked.content, "timeout": None}, asked.expires_at
    if expires_at:
        content["timeout"] = max(1, math.ceil((expires_at - view.now).total_seconds()))
    frame = _frame(
        event, view, "system_interaction_message", content, done=False, id_=asked.interaction
    )
    frame["interaction_id"] = asked.interaction
    frame["version"] = asked.version
    frame["expires_at"] = timestamp(expires_at) if expires_at else None
    frame["server_now"] = timestamp(view.now)
    return [frame]


def _interaction_update(event: EventRecord, view: View) -> list[Frame]:
    content = dict(event.payload)
    content["at"] = timestamp(datetime.fromisoformat(content["at"]))
    frame = _frame(
        event, view, "interaction_update_message", content, id_=content["interaction_id"]
    )
    frame["interaction_id"] = content["interaction_id"]
    return [frame]


def _assignment(event: EventRecord, view: View) -> list[Frame]:
    """Build the frame of a question that is assigned to others, which this client cannot answer."""
    asked = AskedEvent.of(event.payload)
    content = {
        "interaction_id": asked.interaction,
        "text": asked.text,
        "to": asked.to,
        "expires_at": timestamp(asked.expires_at) if asked.expires_at else None,
    }
    return [_frame(event, view, "assignment_message", content, done=False)]


def _assignment_update(event: EventRecord, view: View) -> list[Frame]:
    payload = event.payload
    content = {name: payload.get(name) for name in ("interaction_id", "status", "by", "response")}
    content["change"] = payload.get("change", payload["status"])
    content["at"] = timestamp(datetime.fromisoformat(payload["at"]))
    names = ("assignee", "to", "note", "votes", "needed")
    content |= {name: payload.get(name) for name in names}
    return [_frame(event, view, "assignment_update_message", content)]


def _run(event: EventRecord, view: View) -> list[Frame]:
    update = event.payload
    end = is_end(event)
    content = {name: update.get(name) for name in ("status", "reason", "error", "replayed")}
    frames = [_frame(event, view, "run_update_message", content, done=end)]
    if update.get("trace_id"):
        trace = {"observability_trace_id": update["trace_id"]}
        frames.insert(0, _frame(event, view, "observability_trace_message", trace))
    if not end:
        return frames
    frames.insert(0, response(event, view, "", done=True))
    if update.get("error"):
        error = update["error"]
        shown_error = error_content("workflow_error", error["message"], {"code": error["code"]})
        frames.insert(0, {**_frame(event, view, "error_message", None), **shown_error})
    if event.client_format in SINGLE and view.result:
        frames.insert(0, response(event, view, view.result))
    return frames


EXTENDED: Makers = {
    Event.Type.USER_MESSAGE: _user_message,
    Event.Type.RUN: _run,
    Event.Type.TEXT: _text,
    Event.Type.MESSAGE: _text,
    Event.Type.RESTART: _restart,
    Event.Type.STEP: _step,
    Event.Type.INTERACTION: _interaction,
    Event.Type.INTERACTION_UPDATE: _interaction_update,
    Event.Type.ASSIGNMENT: _assignment,
    Event.Type.ASSIGNMENT_UPDATE: _assignment_update,
}


def event_frames(event: EventRecord, view: View, makers: Makers = EXTENDED) -> list[Frame]:
    """Build the frames of an event, in order; an event that shows nothing has no frames."""
    frames = makers[event.type](event, view)
    if frames:
        frames[-1]["sequence"] = event.sequence
    return frames
