"""The input and output of the HTTP interface; the source of its OpenAPI document."""

import json
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from chat_app.feedback import MAX_LENGTHS
from chat_app.inbox.inbox_parts import MAX_PAGES, MAX_QUERY_LENGTH, InboxPart
from chat_app.wire.client_messages import (
    AnswerData,
    AnswerText,
    ChatMessage,
    Content,
    Name,
    OptionalName,
    Storable,
    Text,
)
from sessions_app.prompts import Answer, JsonAnswer, TextAnswer

Number = StrictInt | StrictFloat


class RunQuery(BaseModel):
    """Query of a run: `workflow` is what a new conversation runs, else the configured default."""

    workflow: OptionalName = None


class FullQuery(RunQuery):
    """`filter_steps` has the types of steps that are sent, with commas between, or is `none`."""

    filter_steps: Text | None = None


class AnswerHeaders(BaseModel):
    """Request headers of an answer. `user-message-id` makes a repeat of the request harmless."""

    user_message_id: OptionalName = Field(None, alias="user-message-id")


class RunHeaders(AnswerHeaders):
    """Request headers of a run. `replaces` is the run whose message this is another version of;
    `follows` is a run of the branch that it goes on with.
    """

    conversation_id: OptionalName = Field(None, alias="conversation-id")
    replaces: OptionalName = None
    follows: OptionalName = None


class StreamHeaders(RunHeaders):
    """The headers of a stream; with `Last-Event-ID` it continues after that event."""

    last_event_id: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(None, alias="last-event-id")


class GenerateBody(BaseModel):
    """A message to a workflow."""

    input_message: Text


class JobBody(GenerateBody):
    """A message to a workflow, whose result is asked for under `job_id`. For `sync_timeout` seconds
    it is waited for. `expiry_seconds` has no effect: a run is kept with its conversation.
    """

    job_id: OptionalName = None
    sync_timeout: Annotated[StrictInt, Field(ge=0, le=300)] = 0
    expiry_seconds: Annotated[StrictInt, Field(ge=600, le=86_400)] = 3600


class OpenAIMessage(ChatMessage):
    """A message in OpenAI's form; one that only calls tools has no content."""

    role: StrictStr

    @model_validator(mode="before")
    @classmethod
    def _without_content(cls, message: object) -> object:
        if isinstance(message, dict) and message.get("content") is None:
            return {**message, "content": []}
        return message


class StreamOptions(BaseModel):
    """OpenAI's options of a stream.

    With `include_usage` the stream ends with the tokens that the workflow reported.
    """

    include_usage: StrictBool = False


# Roles of messages that a client may add after the user's last message.
INSTRUCTIONS = ("system", "developer")


class ChatBody(Content):
    """A chat in OpenAI's form. The last text of its last user message is sent to the workflow.

    Only system messages may follow that message: earlier texts of the assistant are in the stored
    conversation, and the workflow has tools of its own.

    What only a language model could use is checked and passed over, as are fields not named here.
    """

    messages: list[OpenAIMessage]  # type: ignore[assignment] # read-only, so a narrower list fits
    model: Text | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    max_tokens: StrictInt | None = None
    max_completion_tokens: StrictInt | None = None
    n: StrictInt | None = None
    seed: StrictInt | None = None
    user: StrictStr | None = None

    @field_validator("messages")
    @classmethod
    def _ends_with_the_user(cls, messages: list[OpenAIMessage]) -> list[OpenAIMessage]:
        roles = [message.role for message in messages if message.role not in INSTRUCTIONS]
        if roles and roles[-1] != "user":
            raise ValueError(f"the newest message must have the role user, not {roles[-1]}")
        return messages

    @property
    def tells_usage(self) -> bool:
        """True if the stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class Result(BaseModel):
    """The result of a run."""

    value: JsonValue


class Job(BaseModel):
    """A run as a job. Where it waits for answers, `status_url` says for which."""

    job_id: str
    status: Literal["submitted", "running", "success", "failure", "interrupted"]
    error: str | None
    output: Result | None
    created_at: datetime
    updated_at: datetime
    expires_at: None
    execution_id: UUID
    status_url: str


class Model(BaseModel):
    """A workflow, as OpenAI's clients list models. When it was made is not known."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "workflows"


class Models(BaseModel):
    """The workflows that one may use, the default one first."""

    object: Literal["list"] = "list"
    data: list[Model]


class CompletionMessage(BaseModel):
    """The assistant's message."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """The only choice of a completion."""

    index: Literal[0] = 0
    message: CompletionMessage
    finish_reason: Literal["stop"] = "stop"


class CompletionUsage(BaseModel):
    """The tokens of a run, as its workflow reported them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """A run's result as OpenAI's chat completion. `created` is in seconds since 1970.

    `usage` counts what the workflow reports.
    """

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage


class _PromptOverHttp(BaseModel):
    interaction_id: UUID
    response_url: str


class AskedInteraction(_PromptOverHttp):
    """A run that waits for an answer to `prompt` at `response_url`."""

    status: Literal["interaction_required"] = "interaction_required"
    prompt: dict[str, JsonValue]


class AskedOAuth(_PromptOverHttp):
    """A run that waits for a consent that is given at `auth_url`."""

    status: Literal["oauth_required"] = "oauth_required"
    auth_url: str
    oauth_state: str


class _Stopped(BaseModel):
    """The fields beside `interactions` are those of the first of them; `message` is for people."""

    execution_id: UUID
    status_url: str
    message: str
    interactions: list[AskedInteraction | AskedOAuth]


class InteractionRequired(_Stopped, AskedInteraction):
    """The run waits for answers; `interactions` has all of its open prompts."""


class OAuthRequired(_Stopped, AskedOAuth):
    """The run waits for a consent; `interactions` has all of its open prompts."""


class _Execution(BaseModel):
    execution_id: UUID
    run_status: str  # status of the run itself: a value of `Run.Status`


class AskedOthers(BaseModel):
    """A prompt for others: `to` are names for people to read, `assignee` has claimed it."""

    interaction_id: UUID
    text: str
    to: list[str]
    assignee: str | None


class WaitsForOthers(BaseModel):
    """The run waits for other people than its owner: `waits_for` has what they are asked."""

    execution_id: UUID
    status: Literal["running"] = "running"
    status_url: str
    message: str
    waits_for: list[AskedOthers]


class Running(_Execution):
    """A run that is queued or at work."""

    status: Literal["running"] = "running"


class Completed(_Execution):
    """A run that has ended; the result is in the form of the path that started it."""

    status: Literal["completed"] = "completed"
    result: Completion | Result


class Failed(_Execution):
    """A run that has ended without a result, or (`suspended`) waits for an operator."""

    status: Literal["failed"] = "failed"
    error: str


class WaitingForAnswer(_Execution, InteractionRequired):
    """A run that waits for an answer."""


class WaitingForConsent(_Execution, OAuthRequired):
    """A run that waits for a consent."""


class WaitingForOthers(_Execution, WaitsForOthers):
    """A run that waits for other people than its owner."""


class ChosenOption(BaseModel):
    """An option of the prompt, by any of its names."""

    id: AnswerText | None = None
    label: AnswerText | None = None
    value: AnswerText | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_its_name(cls, option: object) -> object:
        return {"value": option} if isinstance(option, str | int | float) else option

    @property
    def name(self) -> str:
        """The name that the option is found by: its value, else its id, else its label."""
        return next((name for name in (self.value, self.id, self.label) if name is not None), "")


Selection = ChosenOption | list[ChosenOption]


# Examples of the answer to a prompt: a text, one option, several options, a form.
ANSWERS: list[JsonValue] = [
    {"response": {"text": "yes"}},
    {"response": {"selected_option": {"value": "approve"}}},
    {"response": {"selected_options": [{"value": "a"}, {"value": "b"}]}},
    {"response": {"data": {"decision": "reject", "note": "by train"}}},
]
TYPE_NAMES = ("type", "input_type")
ANSWER_NAMES = ("text", "selected_option", "selected_options", "data")


class InteractionResponse(BaseModel):
    """An answer, by one of: `text`, the option or options chosen, or `data`. `type` may also be
    `input_type`; of a notification it is enough.
    """

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(None, validation_alias=AliasChoices("type", "input_type"))
    text: AnswerText | None = None
    selected_option: Selection | None = None
    selected_options: Selection | None = None
    data: AnswerData | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_one_answer(cls, response: object) -> object:
        if not isinstance(response, dict):
            return response
        answers = [
            name for name, value in response.items() if value is not None and name not in TYPE_NAMES
        ]
        is_seen = not answers and "notification" in (response.get(name) for name in TYPE_NAMES)
        if (len(answers) == 1 and answers[0] in ANSWER_NAMES) or is_seen:
            second = "input_type" if "type" in response else ""
            return {name: value for name, value in response.items() if name != second}
        examples = " or ".join(json.dumps(example) for example in ANSWERS)
        raise ValueError(
            f"it must have exactly one of {', '.join(ANSWER_NAMES)}, such as {examples}"
        )

    @property
    def answered_type(self) -> str | None:
        """The prompt type that the response is for; None for a text, which all types take."""
        return None if self.type == "text" and self.text is not None else self.type

    @property
    def answer(self) -> Answer:
        """The answer, in the type that belongs to the response's field."""
        if self.data is not None:
            return JsonAnswer(self.data)
        selection = self.selected_options if self.selected_option is None else self.selected_option
        if selection is None:
            return TextAnswer(self.text or "")
        options = selection if isinstance(selection, list) else [selection]
        return JsonAnswer([option.name for option in options])


class AnswerBody(BaseModel):
    """The answer to a prompt: a text, an option by its value or label, or several of them."""

    model_config = ConfigDict(json_schema_extra={"examples": ANSWERS})

    response: InteractionResponse


class InboxQuery(BaseModel):
    """The part of the inbox, the text to search for, and the page, from 1 on."""

    part: InboxPart = InboxPart.ALL
    q: Annotated[str, Field(max_length=MAX_QUERY_LENGTH), Storable] = ""
    page: Annotated[int, Field(ge=1, le=MAX_PAGES)] = 1


class SharedMessage(BaseModel):
    """A message of a conversation, or what was said then, as Markdown."""

    role: Literal["user", "assistant"]
    text: str


class HandedOnNote(BaseModel):
    """The note of who handed a prompt on last."""

    by: str
    text: str


class PromptTold(BaseModel):
    """A prompt that waits for a person, or did. `conversation_id` is told to its owner alone;
    `to` are names for people to read; `assignee` has claimed it; `note` is of who handed it on.
    `needed` people must give the same answer, `voted` have. `response` is what it came to. `shared`
    is the conversation, where its workflow shares it with them, in the answer for one prompt.
    """

    interaction_id: UUID
    status: str
    prompt: dict[str, JsonValue]
    workflow: str
    owner: str
    conversation_id: str | None
    may_answer: bool
    to: list[str]
    assignee: str | None
    note: HandedOnNote | None
    needed: int
    voted: int
    created_at: datetime
    due_at: datetime | None
    expires_at: datetime | None
    response: JsonValue
    answered_by: str | None
    answered_at: datetime | None
    response_url: str
    claim_url: str
    shared: list[SharedMessage] = []


class Inbox(BaseModel):
    """A page of an inbox; `more` says that it is not the last."""

    prompts: list[PromptTold]
    more: bool


class ClaimBody(BaseModel):
    """Claims the prompt, gives the claim up, or hands it to the person `to`, with a note."""

    change: Literal["claim", "release", "delegate"] = "claim"
    to: Text = ""
    note: Text = ""


class PeopleQuery(BaseModel):
    """The beginning of a name, of two characters or more."""

    q: Text = ""


class PersonTold(BaseModel):
    """A user; `name` is "" where only the user name is known."""

    username: str
    name: str


class People(BaseModel):
    """The first few people whom a search found."""

    people: list[PersonTold]


class ForkBody(BaseModel):
    """The position of the fork: the first call of the run's journal that is repeated. 1 keeps
    nothing.
    """

    position: StrictInt


class Forked(BaseModel):
    """The new run."""

    execution_id: UUID
    status_url: str


class FeedbackBody(BaseModel):
    """The person's opinion of the answer whose run has that trace."""

    observability_trace_id: Name
    reaction_type: Annotated[str, Field(max_length=MAX_LENGTHS["reaction"]), Storable] | None = None
    comment: Annotated[str, Field(max_length=MAX_LENGTHS["comment"]), Storable] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.reaction_type is None and self.comment is None:
            raise ValueError("reaction_type or comment is missing")
        return self


class Thanks(BaseModel):
    """The confirmation that feedback is stored."""

    message: str


class McpClients(BaseModel):
    """The list of MCP clients for the peer's web UI; no workflow here has any."""

    mcp_clients: list[JsonValue]


class BuilderSession(BaseModel):
    """A user's builder, and how many sessions hold it now (`ref_count`)."""

    created_at: datetime
    last_activity: datetime
    ref_count: int
    is_active: bool


class BuilderRequests(BaseModel):
    """The requests that a builder, the reusable object of a user's workflow, has served.

    The latency in milliseconds excludes waiting for people.
    """

    total_requests: int
    active_requests: int
    avg_latency_ms: float
    error_count: int


class ActiveUser(BaseModel):
    """A user's live builder of one workflow."""

    user_id: str
    workflow: str
    worker: str
    session: BuilderSession
    requests: BuilderRequests


class Monitor(BaseModel):
    """The live builders of all workers."""

    timestamp: datetime
    total_active_users: int
    users: list[ActiveUser]


class PeerError(BaseModel):
    """An error as the peer has it. `code` is one of the socket's error codes; `details` is JSON, or
    the code where there is nothing else to say.
    """

    model_config = ConfigDict(extra="forbid")

    code: str
    message: str
    details: str


class Problem(PeerError):
    """Problem details (RFC 9457), with the fields of the peer's errors, and what `details` has."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
