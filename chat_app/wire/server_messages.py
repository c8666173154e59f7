"""The messages of a server, as models: for the published schema, and the tests of frames.

Frames are made without these models (`frames.py`, `replies.py`), which is much faster. Fields that
NAT does not have are additions; see docs/protocol.md.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from chat_app.wire.client_messages import MESSAGES
from sessions_app.interactions.answers import Outcome
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction, Run
from sessions_app.prompts import AnyPrompt, any_type

ErrorCode = Literal[
    "unknown_error",
    "workflow_error",
    "invalid_message",
    "invalid_message_type",
    "invalid_user_message_content",
    "invalid_data_content",
    "user_auth_error",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ServerMessage(_Strict):
    """The fields that all messages have. `timestamp` is ISO 8601 in UTC."""

    id: str
    thread_id: str
    parent_id: str | None
    conversation_id: str | None
    status: Literal["in_progress", "complete"]
    timestamp: str


class EventMessage(ServerMessage):
    """A message about an event of the log. The last message of each event has its `sequence`."""

    parent_id: str
    conversation_id: str
    run_id: str
    sequence: int | None = Field(default=None, ge=1)


class TextContent(_Strict):
    """A piece of text."""

    text: str


class OutputContent(_Strict):
    """A piece of text, for `generate` and `generate_stream`."""

    text: str
    output: str
    value: str


class SystemResponse(EventMessage):
    """A piece of output. The last of a run is `complete`, with an empty text."""

    type: Literal["system_response_message"]
    content: TextContent | OutputContent


class StepContent(_Strict):
    """A step; the payload is markdown."""

    name: str
    payload: str


class SystemIntermediate(EventMessage):
    """The beginning or the end of a step."""

    type: Literal["system_intermediate_message"]
    content: StepContent
    intermediate_parent_id: str
    state: Literal["in_progress", "complete", "failed"]


class SystemInteraction(EventMessage):
    """A prompt. `timeout` in it is the seconds that were left at `server_now`."""

    type: Literal["system_interaction_message"]
    content: Annotated[AnyPrompt, GetPydanticSchema(lambda _, handler: handler(any_type()))]
    interaction_id: str
    version: int
    expires_at: str | None
    server_now: str


class SettlementContent(_Strict):
    """The state of a prompt."""

    interaction_id: str
    status: Interaction.Status
    response: JsonObject | None
    by: str | None
    at: str | None
    via: str


class UpdateContent(SettlementContent):
    """The settlement of a prompt."""

    version: int
    at: str


class InteractionUpdate(EventMessage):
    """The news that a prompt was settled."""

    type: Literal["interaction_update_message"]
    content: UpdateContent
    interaction_id: str


class AssignmentContent(_Strict):
    """A question to others; `to` are names for people to read."""

    interaction_id: str
    text: str
    to: list[str]
    expires_at: str | None


class Assignment(EventMessage):
    """The news that a prompt was asked of others than the owner of the conversation."""

    type: Literal["assignment_message"]
    content: AssignmentContent


class AssignmentChange(_Strict):
    """The state of a prompt. `change` is what happened: an action of the audit, or the final
    status.
    """

    interaction_id: str
    status: Interaction.Status
    change: str
    by: str | None
    at: str
    response: JsonObject | None
    assignee: str | None
    to: list[str] | None
    note: str | None
    votes: int | None
    needed: int | None


class AssignmentUpdate(EventMessage):
    """The news that an assigned prompt was claimed, reassigned, voted on, or settled."""

    type: Literal["assignment_update_message"]
    content: AssignmentChange


class RunContent(_Strict):
    """The state of a run. `replayed`: journal positions that a resumed run takes from the
    record.
    """

    status: Run.Status
    reason: str | None
    error: JsonObject | None
    replayed: int | None


class RunUpdate(EventMessage):
    """The news that a run changed its status."""

    type: Literal["run_update_message"]
    content: RunContent


class TraceContent(_Strict):
    """32 hexadecimal digits."""

    observability_trace_id: str


class ObservabilityTrace(EventMessage):
    """The trace of a run, when it begins."""

    type: Literal["observability_trace_message"]
    content: TraceContent


class RestartContent(_Strict):
    """A place in the log."""

    from_sequence: int


class Restart(EventMessage):
    """The news that the run's text from a place on was cut, and starts again."""

    type: Literal["restart_message"]
    content: RestartContent


class ForkContent(_Strict):
    """The origin of a fork: of which run, from which position on it is new, and by whom."""

    run: str
    position: int = Field(ge=1)
    by: str


class UserContent(_Strict):
    """A message of the user; with `fork` it is said by a run that begins again."""

    role: Literal["user"]
    id: str
    text: str
    fork: ForkContent | None = None


class ConversationMessage(EventMessage):
    """A user message, also of another tab."""

    type: Literal["conversation_message"]
    content: UserContent


class ErrorContent(_Strict):
    """An error's content: `details` is JSON in a string, or the code again."""

    code: ErrorCode
    message: str
    details: str


class Error(ServerMessage):
    """A run failed, or a message was not taken: then `for` is its id."""

    type: Literal["error_message"]
    content: ErrorContent
    details: JsonObject
    run_id: str | None = None
    for_: str | None = Field(default=None, alias="for")


class Reply(ServerMessage):
    """A reply to the client's message whose id is in `for`."""

    for_: str | None = Field(alias="for")


class SubmissionContent(_Strict):
    """The run that a message started, and the message's own place in the log."""

    run_id: str
    sequence: int


class Stopped(_Strict):
    """The runs that have ended."""

    runs: list[str]


class Empty(_Strict):
    """An empty content."""


class ClaimContent(_Strict):
    """The state of an assigned prompt; `assignee` is the user name of whose claim holds."""

    interaction_id: str
    status: Interaction.Status
    assignee: str | None


class Ack(Reply):
    """The outcome of a message."""

    type: Literal["ack_message"]
    outcome: Outcome
    content: SubmissionContent | SettlementContent | ClaimContent | Stopped | Empty


class Pong(Reply):
    """The reply to a ping."""

    type: Literal["pong_message"]


class Waiting(ServerMessage):
    """The number of questions that wait for the person, as their inbox has them.

    Sent when it changes, to whoever has asked for it by the query. `gone` are those that the person
    may answer no longer since the last of these: none where it was not asked for the inbox, or
    where a hundred wait. Nothing is counted past a hundred.
    """

    type: Literal["waiting_message"]
    waiting: int
    gone: list[str]


class Database(ServerMessage):
    """The database is away, so that nothing is stored and nothing new comes; or it is back."""

    type: Literal["database_message"]
    away: bool


class AuthResponse(Reply):
    """The outcome of an `auth_message`."""

    type: Literal["auth_response_message"]
    status: Literal["success", "error"]  # type: ignore[assignment] # NAT uses other words here
    user_id: str | None
    payload: ErrorContent | None


# All messages that the server sends: the models above that have a type, in the same order.
SERVER_MESSAGES: tuple[type[ServerMessage], ...] = tuple(
    model
    for model in list(globals().values())
    if isinstance(model, type) and issubclass(model, ServerMessage) and "type" in model.model_fields
)


def protocol_schema() -> JsonObject:
    """Build the protocol's JSON schema: a message is a `ClientMessage` or a `ServerMessage`."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation") for model in (*MESSAGES.values(), *SERVER_MESSAGES)
    ]
    references, schema = models_json_schema(models)
    client = [
        {**references[model, "validation"], "properties": {"type": {"const": type_}}}
        for type_, model in MESSAGES.items()
    ]
    server = [references[model, "validation"] for model in SERVER_MESSAGES]
    schema["$defs"]["ClientMessage"] = {
        "description": "What a client may send. Fields that are not named here are ignored.",
        "required": ["type"],
        "oneOf": client,
    }
    schema["$defs"]["ServerMessage"] = {
        "description": "What a server of this version sends. Later ones may have more.",
        "oneOf": server,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The messages of the chat socket",
        "description": "See protocol.md. Made by `manage.py protocol_schema`.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("ClientMessage", "ServerMessage")],
        "$defs": schema["$defs"],
    }
