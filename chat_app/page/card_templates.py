"""The templates of prompt types: the controls on a card, which send one or more `value` fields.

An application registers the template of its own type below the class, or in the `ready()` of its
AppConfig: `register_template(RatingPrompt, "shop/rating.html")`. A type without a template uses the
template of its base.
"""

from sessions_app.prompts import (
    AnyPrompt,
    BinaryPrompt,
    CheckboxPrompt,
    DropdownPrompt,
    FormPrompt,
    LinkPrompt,
    NotificationPrompt,
    OAuthPrompt,
    Prompt,
    ToolCallPrompt,
)
from sessions_app.prompts.base import MissingPrompt
from sessions_app.prompts.choices import OneOption

_templates: dict[type[AnyPrompt], str] = {
    Prompt: "chat_app/cards/text.html",
    OneOption: "chat_app/cards/options.html",
    CheckboxPrompt: "chat_app/cards/options.html",
    BinaryPrompt: "chat_app/cards/buttons.html",
    DropdownPrompt: "chat_app/cards/dropdown.html",
    NotificationPrompt: "chat_app/cards/notification.html",
    FormPrompt: "chat_app/cards/form.html",
    ToolCallPrompt: "chat_app/cards/form.html",
    LinkPrompt: "chat_app/cards/link.html",
    OAuthPrompt: "chat_app/cards/oauth_consent.html",
    MissingPrompt: "chat_app/cards/form.html",  # an empty card: nobody can answer
}


def register_template(prompt_type: type[AnyPrompt], template: str) -> None:
    """Set the template of a prompt type, replacing any earlier one."""
    _templates[prompt_type] = template


def template_of(prompt: AnyPrompt) -> str:
    """Return the template of the prompt's type, or of its nearest base that has one."""
    return next(_templates[base] for base in type(prompt).__mro__ if base in _templates)
