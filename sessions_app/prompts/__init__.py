"""Prompts, which a workflow asks, and responses, which it gets back. All import them from here.

`input_type` and the field names are those of the wire (docs/protocol.md).
"""

from sessions_app.prompts.base import Given, Prompt, Response, Together, Vote, as_text
from sessions_app.prompts.choices import (
    BinaryPrompt,
    CheckboxPrompt,
    CheckboxResponse,
    ChoiceResponse,
    DropdownPrompt,
    Option,
    RadioPrompt,
)
from sessions_app.prompts.forms.data import PREFIX, as_posted, posted
from sessions_app.prompts.forms.fields import FormField
from sessions_app.prompts.forms.prompt import APPROVE, REJECT, FormPrompt, FormResponse
from sessions_app.prompts.forms.texts import FieldText, value_text
from sessions_app.prompts.forms.value_fields import value_field
from sessions_app.prompts.stored import (
    MOST_TOGETHER,
    AnyPrompt,
    dump_prompt,
    kind_of,
    load_prompt,
    on_one_card,
)
from sessions_app.prompts.texts import (
    ConsentResponse,
    NotificationPrompt,
    NotificationResponse,
    OAuthPrompt,
    TextPrompt,
    TextResponse,
)

__all__ = [
    "APPROVE",
    "MOST_TOGETHER",
    "PREFIX",
    "REJECT",
    "AnyPrompt",
    "BinaryPrompt",
    "CheckboxPrompt",
    "CheckboxResponse",
    "ChoiceResponse",
    "ConsentResponse",
    "DropdownPrompt",
    "FieldText",
    "FormField",
    "FormPrompt",
    "FormResponse",
    "Given",
    "NotificationPrompt",
    "NotificationResponse",
    "OAuthPrompt",
    "Option",
    "Prompt",
    "RadioPrompt",
    "Response",
    "TextPrompt",
    "TextResponse",
    "Together",
    "Vote",
    "as_posted",
    "as_text",
    "dump_prompt",
    "kind_of",
    "load_prompt",
    "on_one_card",
    "posted",
    "value_field",
    "value_text",
]
