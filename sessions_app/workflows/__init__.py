"""All that the author of a workflow imports."""

from sessions_app.context import Context, Message
from sessions_app.errors import PromptExpired, StepFailed, WorkflowError
from sessions_app.interactive import (
    BinaryPrompt,
    CheckboxPrompt,
    CheckboxResponse,
    ChoiceResponse,
    DropdownPrompt,
    NotificationPrompt,
    NotificationResponse,
    Option,
    RadioPrompt,
    TextPrompt,
    TextResponse,
)
from sessions_app.people import Person
from sessions_app.steps import Retry
from sessions_app.workflows.registry import workflow

__all__ = [
    "BinaryPrompt",
    "CheckboxPrompt",
    "CheckboxResponse",
    "ChoiceResponse",
    "Context",
    "DropdownPrompt",
    "Message",
    "NotificationPrompt",
    "NotificationResponse",
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
