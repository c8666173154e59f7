"""The names that authors of workflows import."""

from sessions_app.errors import (
    ChildFailed,
    NothingCame,
    OutcomeUnknown,
    PromptExpired,
    StepFailed,
    TooLarge,
    WorkflowError,
)
from sessions_app.models import AttachedFile
from sessions_app.models.people import Person
from sessions_app.prompts import (
    BinaryPrompt,
    CheckboxPrompt,
    CheckboxResponse,
    ChoiceResponse,
    ConsentResponse,
    DropdownPrompt,
    FormPrompt,
    FormResponse,
    LinkPrompt,
    NotificationPrompt,
    NotificationResponse,
    OAuthPrompt,
    Option,
    Prompt,
    RadioPrompt,
    Response,
    TextPrompt,
    TextResponse,
    ToolCallPrompt,
    ToolCallResponse,
)
from sessions_app.prompts.assignment import Escalation, group, permission, user
from sessions_app.workflows.context import Context, Message
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.past_calls import CallState, PastCall
from sessions_app.workflows.registry import workflow
from sessions_app.workflows.steps import Retry
from sessions_app.workflows.streams import Reasoning, Stream

__all__ = [
    "AttachedFile",
    "BinaryPrompt",
    "CallState",
    "CheckboxPrompt",
    "CheckboxResponse",
    "ChildFailed",
    "ChoiceResponse",
    "ConsentResponse",
    "Context",
    "DropdownPrompt",
    "Escalation",
    "FormPrompt",
    "FormResponse",
    "LinkPrompt",
    "Message",
    "NothingCame",
    "NotificationPrompt",
    "NotificationResponse",
    "OAuthPrompt",
    "Option",
    "OutcomeUnknown",
    "PastCall",
    "PastMessage",
    "Person",
    "Prompt",
    "PromptExpired",
    "RadioPrompt",
    "Reasoning",
    "Response",
    "Retry",
    "StepFailed",
    "Stream",
    "TextPrompt",
    "TextResponse",
    "TooLarge",
    "ToolCallPrompt",
    "ToolCallResponse",
    "WorkflowError",
    "group",
    "permission",
    "user",
    "workflow",
]
