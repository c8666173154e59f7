"""The frames that are no events of the log, such as replies to a client. Pure functions."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import count
from uuid import UUID, uuid4

from chat_app.wire.client_messages import AuthMessage, ClientMessage
from chat_app.wire.frames import Frame, error_content, timestamp
from chat_app.wire.parsing import Refusal
from sessions_app.conversations.messages import SubmittedMessage
from sessions_app.interactions.answers import AnswerResult, Outcome
from sessions_app.interactions.claims import ClaimState
from sessions_app.models.people import Person
from sessions_app.questions.late_words import late_reason


@cache
def _process() -> str:
    """Return a unique name of this process; a process forked after this import gets another one."""
    return uuid4().hex


# Frame ids must only be unique: a random id for each frame would cost more than the frame.
_numbers = count(1)


def acknowledgement(message: ClientMessage, outcome: str, content: Frame | None = None) -> Frame:
    """Build the acknowledgement of a client's message; docs/protocol.md lists the outcomes."""
    return {**_answer_to("ack_message", message), "outcome": outcome, "content": content or {}}


def pong(message: ClientMessage) -> Frame:
    """Build the answer to a ping."""
    return _answer_to("pong_message", message)


def waiting_prompts(count: int, gone_ids: Iterable[UUID]) -> Frame:
    """Build the frame with the number of questions in the inbox, and the ids that left it."""
    counts = {"waiting": count, "gone": [str(id_) for id_ in gone_ids]}
    return {**_reply("waiting_message", None, None), **counts}


def database_state(*, away: bool) -> Frame:
    """Build the frame about the database: away, so that nothing is stored, or back."""
    return {**_reply("database_message", None, None), "away": away}


def auth_success(message: AuthMessage, person: Person) -> Frame:
    """Build the reply that the client is signed in as this person."""
    reply = _answer_to("auth_response_message", message)
    return {**reply, "status": "success", "user_id": str(person.id), "payload": None}


def auth_error(message: AuthMessage, reason: str, details: Frame | None = None) -> Frame:
    """Build the reply that the credentials are wrong, or were not checked."""
    payload = error_content("user_auth_error", reason, details or {})["content"]
    reply = _answer_to("auth_response_message", message)
    return {**reply, "status": "error", "user_id": None, "payload": payload}


def refusal_reply(refusal: Refusal) -> Frame:
    """Build the error of a message that was not carried out."""
    return {
        **_reply("error_message", refusal.conversation_id, refusal.parent),
        "for": refusal.about,
        **error_content(refusal.code, str(refusal), refusal.details),
    }


def not_accepted(message: ClientMessage, answer_result: AnswerResult) -> Refusal:
    """Build the refusal of an answer, for a client that knows no acknowledgements."""
    is_unknown = answer_result.outcome == Outcome.NOT_FOUND
    code = "invalid_message" if is_unknown else "invalid_data_content"
    refusal = Refusal(code, late_reason(answer_result), **settled_content(answer_result))
    refusal.about_message(message)
    return refusal


def submitted_content(submitted_message: SubmittedMessage) -> Frame:
    """Return the run that the message started, and the message's place in the log."""
    return {"run_id": str(submitted_message.run), "sequence": submitted_message.sequence}


def claimed_content(interaction: str, claim_state: ClaimState) -> Frame:
    """Return the state of an assigned prompt, and the person who has claimed it."""
    return {
        "interaction_id": interaction,
        "status": claim_state.status,
        "assignee": claim_state.assignee,
    }


def settled_content(answer_result: AnswerResult) -> Frame:
    """Return the settlement of a prompt, also for a client whose answer came too late."""
    if answer_result.interaction is None:
        return {}
    return {
        "interaction_id": str(answer_result.interaction),
        "status": answer_result.status,
        "response": answer_result.response,
        "by": answer_result.by,
        "at": timestamp(answer_result.at) if answer_result.at else None,
        "via": answer_result.via,
    }


def _answer_to(type_: str, message: ClientMessage) -> Frame:
    parent_id = getattr(message, "parent_id", None) or message.id
    return {**_reply(type_, message.conversation_id, parent_id), "for": message.id}


def _reply(type_: str, conversation_id: str | None, parent_id: str | None) -> Frame:
    frame_id = f"{_process()}:{next(_numbers)}"
    return {
        "type": type_,
        "id": frame_id,
        "thread_id": frame_id,
        "parent_id": parent_id,
        "conversation_id": conversation_id,
        "status": "complete",
        "timestamp": timestamp(datetime.now(UTC)),
    }
