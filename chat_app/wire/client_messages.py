"""The messages of clients, as models: the checks, and the source of the published schema."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    model_validator,
)

from sessions_app.conversations.messages import MAX_NAME
from sessions_app.errors import Invalid
from sessions_app.prompts import (
    Answer,
    Decision,
    JsonAnswer,
    PageAnswer,
    TextAnswer,
    as_text,
)
from sessions_app.storage.storable import is_storable

# Maximum number of file ids that are read from a message; no setting allows as many.
MOST_FILES = 101


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("it contains a NUL character (U+0000); remove it")
    if not is_storable(text):
        raise ValueError("it contains half of a surrogate pair, which is not a character")
    return text


def _hashable(password: SecretStr) -> SecretStr:
    _storable(password.get_secret_value())
    return password


# Put length limits before this validator: after a function, pydantic's errors speak of "items".
Storable = AfterValidator(_storable)
Text = Annotated[str, Storable]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), Storable]


def _answer(value: object) -> object:
    return as_text(value) if isinstance(value, bool | int | float) else value


# Text of an answer. Clients may also send an option's value itself: a number or a boolean.
AnswerText = Annotated[
    Text, BeforeValidator(_answer, json_schema_input_type=str | bool | int | float)
]


# The decision about a tool call, an option with a note, or the fields of a form. The type of the
# prompt determines which of the three is valid.
AnswerData = Annotated[
    dict[Text, JsonValue],
    BeforeValidator(lambda data: data, json_schema_input_type=Decision | dict[str, JsonValue]),
]


class Part(BaseModel):
    """A part of a message's content; one that is no text is passed over, whatever it holds."""

    type: str = "text"
    text: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _pass_over(cls, part: object) -> object:
        if isinstance(part, dict) and part.get("type", "text") != "text":
            return {"type": part["type"]}
        return part


def _parts(content: object) -> object:
    return [{"text": content}] if isinstance(content, str) else content


class ChatMessage(BaseModel):
    """A message of a content: parts, or just a text."""

    role: str = "user"
    content: Annotated[list[Part], BeforeValidator(_parts, json_schema_input_type=str | list[Part])]


class Content(BaseModel):
    """The words of the person."""

    messages: list[ChatMessage]

    @property
    def text(self) -> str | None:
        """The last text in the user's last message; None if there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                texts = [part.text for part in message.content if part.type == "text"]
                return texts[-1] if texts else None
        return None


def _messages(content: object) -> object:
    return {"messages": [{"content": content}]} if isinstance(content, str) else content


# Accept a plain text as a message of the user.
AnyContent = Annotated[Content, BeforeValidator(_messages, json_schema_input_type=str | Content)]


class AnswerPart(Part):
    """A part of an answer's content."""

    text: AnswerText | None = None


class AnswerMessage(ChatMessage):
    """A message of an answer's content."""

    content: Annotated[  # type: ignore[assignment] # read-only, so a narrower list is safe
        list[AnswerPart],
        BeforeValidator(_parts, json_schema_input_type=str | list[AnswerPart]),
    ]


class AnswerContent(Content):
    """The answer of the person."""

    messages: list[AnswerMessage]  # type: ignore[assignment] # read-only, so a narrower list fits


def _id_or_none(value: object) -> object:
    """Return the id, or None for "default" or "", which NAT's clients send in place of no id."""
    return None if value in ("default", "") else value


OptionalName = Annotated[Name | None, BeforeValidator(_id_or_none)]


class ClientMessage(BaseModel):
    """The fields that any message may have; those unknown are passed over."""

    model_config = ConfigDict(strict=True)

    id: OptionalName = None
    conversation_id: OptionalName = None


def _names(ids: Any) -> object:
    """Return the file ids; ignore other content, as of another client's field of this name."""
    is_ours = isinstance(ids, list) and all(isinstance(id_, str) for id_ in ids)
    return ids[:MOST_FILES] if is_ours else []


class UserMessage(ClientMessage):
    """A message that starts a run. `replaces` is the run whose message this is another version of,
    or without a text the same; `follows` is a run of the branch that it goes on with. `file_ids`
    are those of files that were uploaded for this conversation.
    """

    schema_type: Literal["chat_stream", "generate_stream", "chat", "generate"] = "chat_stream"
    content: AnyContent
    workflow: OptionalName = None
    replaces: OptionalName = None
    follows: OptionalName = None
    file_ids: Annotated[list[str], BeforeValidator(_names, json_schema_input_type=list[str])] = []


class PageForm(BaseModel):
    """The form of a card as a browser would post it: how the page of this server answers."""

    model_config = ConfigDict(extra="forbid")

    values: list[Text]
    note: Text = ""
    fields: dict[Text, list[Text]] = {}


class InteractionMessage(ClientMessage):
    """Answers a prompt by one of four: the text of `content`; `values` of options; `data`, which is
    the decision about a tool call, the fields of a form, or an option with a note; or `form`.
    """

    thread_id: Text | None = None
    parent_id: Text | None = None
    content: (
        Annotated[
            AnswerContent, BeforeValidator(_messages, json_schema_input_type=str | AnswerContent)
        ]
        | None
    ) = None
    interaction_id: Text | None = None
    values: list[AnswerText] | None = None
    data: AnswerData | None = None
    form: PageForm | None = None
    version: int | None = None

    @property
    def answer(self) -> Answer:
        """The answer, in the type that belongs to the message's field.

        Raises:
            Invalid: the message has no answer, or several, which may contradict each other.
        """
        text = self.content.text if self.content else None
        form = self.form
        answers: list[Answer | None] = [
            None if text is None else TextAnswer(text),
            None if self.values is None else JsonAnswer(list(self.values)),
            None if self.data is None else JsonAnswer(self.data),
            None if form is None else PageAnswer(form.values, form.note, form.fields),
        ]
        match [answer for answer in answers if answer is not None]:
            case [answer]:
                return answer
        raise Invalid(
            "An answer is exactly one of these: a text in content, values, data, or form; such as "
            '{"values": ["approve"]} or {"data": {"decision": "reject", "note": ""}}.'
        )


class ClaimMessage(ClientMessage):
    """A message that claims an assigned prompt, releases it, or hands it on to the person `to`."""

    interaction_id: Text
    change: Literal["claim", "release", "delegate"] = "claim"
    to: Text = ""
    note: Text = ""


class StopMessage(ClientMessage):
    """A message that stops the active runs of a conversation, or the one named."""

    run_id: Text | None = None


class AckMessage(ClientMessage):
    """A message that the client has all events up to `sequence`."""

    sequence: Annotated[int, Field(ge=0, lt=2**63)]


class PingMessage(ClientMessage):
    """A message that asks for a pong."""


class OAuthModePreference(ClientMessage):
    """A preference that is accepted and ignored: all prompts of that kind are links here."""


class JwtLogin(BaseModel):
    """A sign-in by a JSON Web Token."""

    method: Literal["jwt"]
    token: SecretStr


class ApiKeyLogin(BaseModel):
    """A sign-in by an API key."""

    method: Literal["api_key"]
    token: SecretStr


class BasicLogin(BaseModel):
    """A sign-in by user name and password."""

    method: Literal["basic"]
    username: Text
    password: Annotated[SecretStr, AfterValidator(_hashable)]


Login = JwtLogin | ApiKeyLogin | BasicLogin


class ConsentMode(BaseModel):
    """Says how the client would open a page to sign in at: it is no credential."""

    method: Literal["oauth_mode_preference"]


class AuthMessage(ClientMessage):
    """A message that says who the client is."""

    payload: Annotated[Login | ConsentMode, Field(discriminator="method")]


class Query(BaseModel):
    """The query of a connection.

    Who is not `extended` is a plain client. `waiting` asks for `waiting_message`, as `inbox` also
    where others wait than before, though as many. `person` is the id of the user for whom a page
    was made.
    """

    conversation_id: Name | None = None
    extended: bool = False
    last_sequence: int | None = None
    workflow: Name | None = None
    waiting: bool | Literal["inbox"] = False
    person: str | None = Field(default=None, alias="for")


MESSAGES: dict[str, type[ClientMessage]] = {
    "user_message": UserMessage,
    "user_interaction_message": InteractionMessage,
    "claim_message": ClaimMessage,
    "stop_message": StopMessage,
    "ack_message": AckMessage,
    "ping_message": PingMessage,
    "oauth_mode_preference": OAuthModePreference,
    "auth_message": AuthMessage,
}
