"""Prompts, which a workflow asks, and responses, which it gets back. All import them from here.

`input_type` and the field names are those of the wire (docs/protocol.md).
"""

from sessions_app.prompts.answer_types import Answer, JsonAnswer, PageAnswer, TextAnswer
from sessions_app.prompts.arguments import literal
from sessions_app.prompts.base import (
    MAX_NOTE,
    MAX_TEXT,
    MOST_TOGETHER,
    AnyPrompt,
    Content,
    FieldText,
    FormButton,
    Given,
    Prompt,
    Response,
    Together,
    Vote,
    any_type,
    as_text,
    check_note,
    dump_prompt,
    load_prompt,
    load_typed_prompt,
    on_one_card,
    type_of,
)
from sessions_app.prompts.choices import (
    BinaryPrompt,
    CheckboxPrompt,
    CheckboxResponse,
    ChoiceResponse,
    DropdownPrompt,
    Option,
    RadioPrompt,
)
from sessions_app.prompts.forms.data import PREFIX, as_posted, read_posted
from sessions_app.prompts.forms.prompt import APPROVE, REJECT, FormPrompt, FormResponse
from sessions_app.prompts.forms.schema_checks import (
    aargument_problems,
    acheck_schema,
    argument_problems,
    check_schema,
)
from sessions_app.prompts.hidden_characters import mark
from sessions_app.prompts.links import ConsentRequest, ConsentResponse, LinkPrompt, OAuthPrompt
from sessions_app.prompts.texts import (
    NotificationPrompt,
    NotificationResponse,
    TextPrompt,
    TextResponse,
    plain_text,
)
from sessions_app.prompts.tool_call import Decision, ToolCallPrompt, ToolCallResponse

__all__ = [
    "APPROVE",
    "MAX_NOTE",
    "MAX_TEXT",
    "MOST_TOGETHER",
    "PREFIX",
    "REJECT",
    "Answer",
    "AnyPrompt",
    "BinaryPrompt",
    "CheckboxPrompt",
    "CheckboxResponse",
    "ChoiceResponse",
    "ConsentRequest",
    "ConsentResponse",
    "Content",
    "Decision",
    "DropdownPrompt",
    "FieldText",
    "FormButton",
    "FormPrompt",
    "FormResponse",
    "Given",
    "JsonAnswer",
    "LinkPrompt",
    "NotificationPrompt",
    "NotificationResponse",
    "OAuthPrompt",
    "Option",
    "PageAnswer",
    "Prompt",
    "RadioPrompt",
    "Response",
    "TextAnswer",
    "TextPrompt",
    "TextResponse",
    "Together",
    "ToolCallPrompt",
    "ToolCallResponse",
    "Vote",
    "aargument_problems",
    "acheck_schema",
    "any_type",
    "argument_problems",
    "as_posted",
    "as_text",
    "check_note",
    "check_schema",
    "dump_prompt",
    "literal",
    "load_prompt",
    "load_typed_prompt",
    "mark",
    "on_one_card",
    "plain_text",
    "read_posted",
    "type_of",
]
