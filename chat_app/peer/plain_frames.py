"""The frames of an event for a plain client: those that NAT's web UI can show. Pure.

See docs/protocol.md, "What plain clients get".
"""

from collections.abc import Iterable
from functools import partial

from chat_app.wire.frames import EXTENDED, SINGLE, Frame, Makers, View, response, step, timestamp
from sessions_app.models import Event, Interaction, Run
from sessions_app.models.people import called
from sessions_app.questions.asked_event import AskedEvent
from sessions_app.storage.records import EventRecord

RESPONSE = "system_response_message"
TRACE = "observability_trace_message"
TYPES = frozenset(
    {
        RESPONSE,
        "system_intermediate_message",
        "system_interaction_message",
        TRACE,
        "error_message",
    }
)
# Markdown notes between pieces of the answer, because sent text cannot be removed.
FAILURE_TEXT = "\n\n**This run failed.**\n\n"
RESTART_TEXT = (
    "\n\n*The server was interrupted. The last part of the answer is written again from here.*\n\n"
)
RECONNECT_TEXT = "\n\n*Reconnected. Some of what follows may be shown above already.*\n\n"
SETTLEMENT_TEXTS: dict[str, str] = {
    Interaction.Status.ANSWERED: "{by} has answered the question.",
    Interaction.Status.EXPIRED: "The time for an answer is over.",
    Interaction.Status.CANCELLED: "The question was withdrawn.",
}


def is_end(frame: Frame) -> bool:
    """Return whether this frame ends an answer: the client ignores later frames for the message."""
    return (frame["type"], frame["status"]) == (RESPONSE, "complete")


def plain_error(frame: Frame) -> Frame:
    """Build an error with the code as `details`.

    NAT's web UI shows the details, or, without any, "An unexpected error occurred".
    """
    return {**frame, "content": {**frame["content"], "details": frame["content"]["code"]}}


def note_repeats(frames: list[Frame]) -> bool:
    """Insert a note about repetition before the first text; return False if there is no text."""
    for frame in frames:
        if frame["type"] == RESPONSE and frame["content"]["text"]:
            content = frame["content"]
            frame["content"] = {**content, "text": RECONNECT_TEXT + content["text"]}
            return True
    return False


def with_trace(frames: list[Frame], trace: Frame) -> list[Frame]:
    """Insert the trace after the first frame, or before an end frame.

    The client adds the trace to its last message, which must be the answer by then.
    """
    index = 0 if is_end(frames[0]) else 1
    return [*frames[:index], trace, *frames[index:]]


def taken_away_note(prompt: EventRecord, to: Iterable[str]) -> EventRecord:
    """Build a note in place of a prompt that is assigned to others now."""
    text = f"The question is for {', '.join(to)} now."
    return prompt._replace(payload={**prompt.payload, "prompt": _note(text), "expires_at": None})


def _note(text: str) -> Frame:
    return {"input_type": "notification", "text": text, "timeout": None, "error": ""}


def _run(event: EventRecord, view: View) -> list[Frame]:
    status, error = event.payload["status"], event.payload.get("error") or {}
    frames = []
    for frame in EXTENDED[Event.Type.RUN](event, view):
        if frame["type"] == "error_message":
            # The web UI shows an error frame only below a text.
            frames += [response(event, view, FAILURE_TEXT), plain_error(frame)]
        elif frame["type"] in TYPES:
            frames.append(frame)
    if status == Run.Status.SUSPENDED:
        frames.append(
            response(event, view, f"\n\n*It cannot continue now. {error.get('message', '')}*\n\n")
        )
    return frames


def _restart(event: EventRecord, view: View) -> list[Frame]:
    return [] if event.client_format in SINGLE else [response(event, view, RESTART_TEXT)]


def _interaction(event: EventRecord, view: View) -> list[Frame]:
    prompt_type = AskedEvent.of(event.payload).type
    return [
        {**frame, "content": content}
        for frame in EXTENDED[Event.Type.INTERACTION](event, view)
        for content in prompt_type.plain(
            frame["content"], partial(view.link, frame["interaction_id"])
        )
    ]


def _interaction_update(event: EventRecord, view: View) -> list[Frame]:
    """Build a note about a settlement, with the prompt's ids, so that it replaces the prompt."""
    settlement = event.payload
    content = _note(SETTLEMENT_TEXTS[settlement["status"]].format(by=called(settlement["by"])))
    [frame] = EXTENDED[Event.Type.INTERACTION_UPDATE](event, view)
    frame |= {"type": "system_interaction_message", "content": content, "status": "in_progress"}
    frame |= {"version": settlement["version"], "expires_at": None}
    return [{**frame, "server_now": timestamp(view.now)}]


def _assignment(event: EventRecord, view: View) -> list[Frame]:
    """Show other people's question as a step that lasts until the question is settled."""
    asked = AskedEvent.of(event.payload)
    content = {"name": f"Waiting for {asked.names}", "payload": asked.text}
    return [step(event, view, content, id_=asked.interaction, state="in_progress")]


def _assignment_update(event: EventRecord, view: View) -> list[Frame]:
    payload = event.payload
    id_, status = payload["interaction_id"], payload["status"]
    if status == Interaction.Status.PENDING:
        by, to = called(payload["by"]), ", ".join(payload.get("to") or ())
        state = "in_progress"
        name = {
            "claimed": f"Claimed by {by}",
            "released": "Waiting for somebody to take it",
            "delegated": f"Claimed by {called(payload.get('assignee'))}",
            "voted": f"{payload.get('votes')} have answered",
        }.get(payload["change"], f"Waiting for {to}")
    else:
        state, name = "complete", SETTLEMENT_TEXTS[status].format(by=called(payload["by"]))
    return [step(event, view, {"name": name, "payload": ""}, id_=id_, state=state)]


PLAIN: Makers = {
    **EXTENDED,
    Event.Type.USER_MESSAGE: lambda event, view: [],
    Event.Type.RUN: _run,
    Event.Type.RESTART: _restart,
    Event.Type.INTERACTION: _interaction,
    Event.Type.INTERACTION_UPDATE: _interaction_update,
    Event.Type.ASSIGNMENT: _assignment,
    Event.Type.ASSIGNMENT_UPDATE: _assignment_update,
}
