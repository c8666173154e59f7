"""What a client may say: parsed, checked or refused. Nothing behind this sees unchecked input."""

import json
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from sessions_app.conversations import MAX_NAME
from sessions_app.errors import (
    Busy,
    Invalid,
    NotFound,
    StorageUnavailable,
    UnknownWorkflow,
)

MAX_FRAME = 64 * 1024  # bytes


class Refusal(Exception):
    """A frame is not taken. `about`, `parent`, `conversation_id` and `type` are its own, if any."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details
        self.about: str | None = None
        self.parent: str | None = None
        self.conversation_id: str | None = None
        self.type: str | None = None

    def about_message(self, message: "ClientMessage | None") -> None:
        """It was a checked message that could not be carried out."""
        if message is not None:
            self.about = message.id
            self.parent = getattr(message, "parent_id", None) or message.id
            self.conversation_id = message.conversation_id


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character (U+0000); remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair, which is no character") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, Field(min_length=1, max_length=MAX_NAME)]


class Part(BaseModel):
    """A part of a message's content; one that is no text is passed over, whatever it holds."""

    type: str = "text"
    text: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _pass_over(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("type", "text") != "text":
            return {"type": given["type"]}
        return given


def _parts(given: Any) -> Any:
    return [{"text": given}] if isinstance(given, str) else given


class ChatMessage(BaseModel):
    """One message of a content: parts, or just a text."""

    role: str = "user"
    content: Annotated[list[Part], BeforeValidator(_parts, json_schema_input_type=str | list[Part])]


class Content(BaseModel):
    """What the person says."""

    messages: list[ChatMessage]

    @property
    def text(self) -> str | None:
        """The last text of the last message of the user; None if there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                texts = [part.text for part in message.content if part.type == "text"]
                return texts[-1] if texts else None
        return None


def _messages(given: Any) -> Any:
    return {"messages": [{"content": given}]} if isinstance(given, str) else given


# A plain text is taken for a message of the user.
AnyContent = Annotated[Content, BeforeValidator(_messages, json_schema_input_type=str | Content)]


def _given(value: Any) -> Any:
    """The peer's clients send "default" for an id that they did not set, and some an empty one."""
    return None if value in ("default", "") else value


OptionalName = Annotated[Name | None, BeforeValidator(_given)]


class ClientMessage(BaseModel):
    """The fields that any message may have; those unknown are passed over."""

    model_config = ConfigDict(strict=True)

    id: OptionalName = None
    conversation_id: OptionalName = None


class UserMessage(ClientMessage):
    """Starts a run."""

    schema_type: Literal["chat_stream", "generate_stream", "chat", "generate"] = "chat_stream"
    content: AnyContent
    workflow: OptionalName = None


class InteractionMessage(ClientMessage):
    """Answers a prompt: by the text of `content`, or by `values`."""

    thread_id: Text | None = None
    parent_id: Text | None = None
    content: AnyContent | None = None
    interaction_id: Text | None = None
    values: list[Text] | None = None
    version: int | None = None


class StopMessage(ClientMessage):
    """Stops the active runs of a conversation, or the one named."""

    run_id: Text | None = None


class AckMessage(ClientMessage):
    """The client has all events up to `sequence`."""

    sequence: Annotated[int, Field(ge=0, lt=2**63)]


class PingMessage(ClientMessage):
    """Asks for a pong."""


class OAuthModePreference(ClientMessage):
    """Accepted, as all prompts of that kind are links here."""


class JwtLogin(BaseModel):
    """Signs in by a JSON Web Token."""

    method: Literal["jwt"]
    token: SecretStr


class ApiKeyLogin(BaseModel):
    """Signs in by an API key."""

    method: Literal["api_key"]
    token: SecretStr


class BasicLogin(BaseModel):
    """Signs in by user name and password."""

    method: Literal["basic"]
    username: Text
    password: SecretStr


Login = JwtLogin | ApiKeyLogin | BasicLogin


class AuthMessage(ClientMessage):
    """Says who the client is."""

    payload: Annotated[Login, Field(discriminator="method")]


class Query(BaseModel):
    """What the query of a connection may name."""

    conversation_id: Name | None = None
    last_sequence: int | None = None
    workflow: Name | None = None


MESSAGES: dict[str, type[ClientMessage]] = {
    "user_message": UserMessage,
    "user_interaction_message": InteractionMessage,
    "stop_message": StopMessage,
    "ack_message": AckMessage,
    "ping_message": PingMessage,
    "oauth_mode_preference": OAuthModePreference,
    "auth_message": AuthMessage,
}


def parse(text: str | None) -> ClientMessage:
    """The message of a frame; `text` is None for a binary one.

    Raises:
        Refusal: it is none that is taken; says why and what would be.
    """
    frame = _load(text)
    try:
        return _check(frame)
    except Refusal as refusal:
        refusal.about = _named(frame, "id")
        refusal.parent = _named(frame, "parent_id") or refusal.about
        refusal.conversation_id = _named(frame, "conversation_id")
        refusal.type = _named(frame, "type")
        raise


def check_query(parameters: dict[str, str]) -> tuple[Query, list[Refusal]]:
    """The query of a connection, without the values that are refused."""
    try:
        return Query.model_validate(parameters), []
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): problem["msg"] for problem in error.errors()}
    rest = {name: value for name, value in parameters.items() if name not in wrong}
    refusals = [
        Refusal("invalid_message", f"The query's {name} is passed over: {problem}.", field=name)
        for name, problem in wrong.items()
    ]
    return Query.model_validate(rest), refusals


def refusal_of(error: Exception, *, answer: bool = False) -> Refusal | None:
    """What a client is told of an error of the runtime; None for one that is not its doing."""
    match error:
        case Invalid():
            code = "invalid_data_content" if answer else "invalid_user_message_content"
            return Refusal(code, str(error), **error.details)
        case UnknownWorkflow():
            return Refusal("invalid_data_content", str(error), workflows=error.offered)
        case Busy():
            return Refusal("workflow_error", str(error), reason="busy")
        case NotFound():
            return Refusal("invalid_message", str(error))
        case StorageUnavailable():
            return Refusal(
                "unknown_error",
                "The message could not be stored. Send it again.",
                reason="not_stored",
            )
    return None


def _load(text: str | None) -> dict[str, Any]:
    if text is None:
        raise Refusal("invalid_message", "Binary frames are not taken. Send JSON as a text frame.")
    # The length in characters first: it costs nothing, and the bytes are never fewer.
    if len(text) > MAX_FRAME or len(text.encode(errors="surrogatepass")) > MAX_FRAME:
        raise Refusal(
            "invalid_message",
            f"The message is too large: at most {MAX_FRAME:,} bytes are taken.",
            max_bytes=MAX_FRAME,
        )
    try:
        frame = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise Refusal("invalid_message", "The message is nested too deeply.") from None
    except ValueError as error:
        raise Refusal("invalid_message", f"The message is not valid JSON: {error}.") from None
    if not isinstance(frame, dict):
        raise Refusal("invalid_message", "The message must be a JSON object.")
    return frame


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _check(frame: dict[str, Any]) -> ClientMessage:
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
        + "; ".join(f"{field['field']}: {field['problem']}" for field in fields[:10]),
        fields=fields[:10],
    )


def _about_type(type_: object) -> str:
    known = ", ".join(MESSAGES)
    if type_ is None:
        return f"The message has no type. Known are: {known}."
    return f"There is no message type {_quoted(type_)}. Known are: {known}."


def _quoted(value: object) -> str:
    return ascii(value)[:80]


def _named(frame: dict[str, Any], name: str) -> str | None:
    """An id that goes back as it came, if it is one."""
    value = frame.get(name)
    return value if isinstance(value, str) and len(value) <= MAX_NAME else None
