"""All that the author of a workflow imports."""

from sessions_app.context import Context
from sessions_app.errors import PromptExpired, StepFailed, WorkflowError
from sessions_app.interactive import (
    BinaryPrompt,
    CheckboxPrompt,
    CheckboxResponse,
    ChoiceResponse,
    ConsentResponse,
    DropdownPrompt,
    NotificationPrompt,
    NotificationResponse,
    OAuthPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
    TextResponse,
)
from sessions_app.people import Person
from sessions_app.scope import Message
from sessions_app.steps import Retry
from sessions_app.workflows.registry import workflow

__all__ = [
    "BinaryPrompt",
    "CheckboxPrompt",
    "CheckboxResponse",
    "ChoiceResponse",
    "ConsentResponse",
    "Context",
    "DropdownPrompt",
    "Message",
    "NotificationPrompt",
    "NotificationResponse",
    "OAuthPrompt",
    "Option",
    "Person",
    "PromptExpired",
    "RadioPrompt",
    "Retry",
    "StepFailed",
    "TextPrompt",
    "TextResponse",
    "WorkflowError",
    "workflow",
]
