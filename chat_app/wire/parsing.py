"""The parser of clients' frames: it checks or refuses each, so that later code trusts its input."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import pgettext
from pydantic import ValidationError

from chat_app.wire.client_messages import MESSAGES, ClientMessage, PingMessage, Query
from sessions_app.conversations.messages import MAX_NAME
from sessions_app.errors import (
    Busy,
    Invalid,
    NotFound,
    StorageUnavailable,
    TooMany,
    UnknownWorkflow,
)
from sessions_app.json_types import JsonObject, load_json
from sessions_app.storage.faults import is_fault

# Maximum bytes of a frame: enough for the longest allowed text in the widest characters.
MAX_FRAME = 512 * 1024
LONGEST_PING = 1024
# Maximum number of values in the JSON of a frame or body. Parsing one value takes as long as
# hundreds of bytes of text.
MOST_VALUES = 10_000
# Matches JSON with more than MOST_VALUES values: each value but the first follows `[`, `{` or a
# comma, outside of texts. All quantifiers are possessive, so that each character is read once, up
# to the excess value.
TOO_MANY_VALUES = re.compile(
    rf'(?:[^"\[{{,]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[{{,]*+)*+[\[{{,]){{{MOST_VALUES}}}+',
    re.DOTALL,
)
# Pattern of a name and a string in a JSON object, without escapes, and of the comma after them.
PLAIN_PAIR = re.compile(r'\s*"(\w{1,50})"\s*:\s*("[^"\\\x00-\x1f]{0,1000}")\s*,')

TOO_MANY = f"The JSON has too many values: at most {MOST_VALUES:,} are allowed."

# The HTTP status of each error, for the API and for pages.
STATUS: dict[type[Exception], int] = {
    Invalid: 422,
    UnknownWorkflow: 422,
    Busy: 409,
    TooMany: 429,
    NotFound: 404,
    StorageUnavailable: 503,
}
# Retry-After of every 503: seconds until the database may be back.
TRY_AGAIN = {"Retry-After": "5"}


class Refusal(Exception):
    """The error that a frame is refused, with the ids that could be read from the frame."""

    def __init__(self, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.details: JsonObject = details
        self.about: str | None = None
        self.parent: str | None = None
        self.conversation_id: str | None = None
        self.type: str | None = None

    def about_frame(self, frame: JsonObject) -> None:
        """Set the ids and the type of the refused frame, as far as they could be read."""
        self.about = _read_id(frame, "id")
        self.parent = _read_id(frame, "parent_id") or self.about
        self.conversation_id = _read_id(frame, "conversation_id")
        self.type = _read_id(frame, "type")

    def about_message(self, message: ClientMessage | None) -> None:
        """Set the ids of a parsed message that could not be carried out."""
        if message is not None:
            self.about = message.id
            self.parent = getattr(message, "parent_id", None) or message.id
            self.conversation_id = message.conversation_id


def parse(text: str | None) -> ClientMessage:
    """Parse the message of a frame; `text` is None for a binary one.

    Raises:
        Refusal: the frame is not accepted; the error says why, and what is accepted.
    """
    frame: JsonObject = {}
    try:
        frame = _load(text)
        return _check(frame)
    except Refusal as refusal:
        refusal.about_frame(frame or read_beginning(text or ""))
        raise


def has_too_many_values(text: str) -> bool:
    """Return whether JSON has too many values: parsing them would block the event loop."""
    return len(text) > MOST_VALUES and TOO_MANY_VALUES.match(text) is not None


def is_ping(text: str) -> bool:
    """Return whether the frame is a `ping_message`."""
    # Fast path: most frames are not pings.
    if len(text) > LONGEST_PING or "ping_message" not in text:
        return False
    try:
        return isinstance(parse(text), PingMessage)
    except Refusal:
        return False


def check_query(parameters: Mapping[str, str]) -> tuple[Query, list[Refusal]]:
    """Parse the query of a connection's URL; return the valid part, and refusals of the rest."""
    try:
        return Query.model_validate(parameters), []
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): problem["msg"] for problem in error.errors()}
    rest = {name: value for name, value in parameters.items() if name not in wrong}
    refusals = [
        Refusal("invalid_message", f"The query's {name} is ignored: {problem}.", field=name)
        for name, problem in wrong.items()
    ]
    return Query.model_validate(rest), refusals


def refusal_of(error: Exception, *, answer: bool = False) -> Refusal | None:
    """Return the refusal that a client gets for a runtime error; None for an unexpected error."""
    match error:
        case Invalid():
            code = "invalid_data_content" if answer else "invalid_user_message_content"
            return Refusal(code, str(error), **translate(error.details))
        case UnknownWorkflow():
            return Refusal("invalid_data_content", str(error), workflows=error.workflows)
        case Busy():
            return Refusal("workflow_error", str(error), reason="busy")
        case TooMany():
            return Refusal(
                "workflow_error", str(error), reason="too_many", retry_after=error.seconds
            )
        case NotFound():
            return Refusal("invalid_message", str(error))
        case _ if is_fault(error):
            return Refusal(
                "unknown_error",
                pgettext("hitl", "The message could not be stored. Send it again."),
                reason="not_stored",
            )
    return None


def translate(details: object) -> Any:
    """Translate lazy texts into the reader's language, just before they are sent."""
    if isinstance(details, Promise):
        return str(details)
    if isinstance(details, dict):
        return {name: translate(detail) for name, detail in details.items()}
    return [translate(detail) for detail in details] if isinstance(details, list) else details


def _load(text: str | None) -> JsonObject:
    if text is None:
        raise Refusal("invalid_message", "Binary frames are refused. Send JSON as a text frame.")
    # Compare the number of characters first: it needs no encoding, and bytes are never fewer.
    if len(text) > MAX_FRAME or len(text.encode(errors="surrogatepass")) > MAX_FRAME:
        raise Refusal(
            "invalid_message",
            f"The message is too large: at most {MAX_FRAME:,} bytes are allowed.",
            max_bytes=MAX_FRAME,
        )
    if has_too_many_values(text):
        raise Refusal("invalid_message", TOO_MANY, max_values=MOST_VALUES)
    try:
        frame = load_json(text)
    except ValueError as error:
        raise Refusal("invalid_message", f"The message is not valid JSON: {error}.") from None
    if not isinstance(frame, dict):
        raise Refusal("invalid_message", "The message must be a JSON object.")
    return frame


def read_beginning(text: str) -> JsonObject:
    """Read the names and plain texts at the beginning of a frame that is not parsed.

    The refusal can then name the message, even if the frame is too large or not JSON.
    """
    pairs: JsonObject = {}
    at = text.find("{") + 1
    while pair := PLAIN_PAIR.match(text, at):
        pairs[pair[1]] = json.loads(pair[2])
        at = pair.end()
    return pairs


def _check(frame: JsonObject) -> ClientMessage:
    type_ = frame.get("type")
    model = MESSAGES.get(type_) if isinstance(type_, str) else None
    if model is None:
        raise Refusal("invalid_message_type", _about_type(type_), types=list(MESSAGES))
    try:
        return model.model_validate(frame)
    except ValidationError as error:
        fields = [
            {"field": ".".join(map(str, problem["loc"])), "problem": problem["msg"]}
            for problem in error.errors(include_url=False, include_input=False)
        ]
    content = all(field["field"].startswith("content") for field in fields)
    raise Refusal(
        "invalid_user_message_content" if content else "invalid_message",
        "Fields are missing or wrong: "
        + "; ".join(f"{field['field']} ({field['problem']})" for field in fields[:10]),
        fields=fields[:10],
    )


def _about_type(type_: object) -> str:
    known_types = ", ".join(MESSAGES)
    if type_ is None:
        return f"The message has no type. Known are: {known_types}."
    return f"There is no message type {ascii(type_)[:80]}. Known are: {known_types}."


def _read_id(frame: JsonObject, name: str) -> str | None:
    """Return a field if it may be an id, which an error message returns to the client unchanged."""
    value = frame.get(name)
    return value if isinstance(value, str) and len(value) <= MAX_NAME else None
