"""Prompts of the NeMo Agent Toolkit, asked as prompts of ours."""

from collections.abc import Callable
from typing import Any

from nat.data_models.interactive import (
    HumanPromptModelType,
    HumanResponse,
    HumanResponseBinary,
    HumanResponseCheckbox,
    HumanResponseDropdown,
    HumanResponseNotification,
    HumanResponseRadio,
    HumanResponseText,
    InteractionPrompt,
)
from pydantic import ValidationError

from sessions_app.contrib.agents.nesting import NestedCalls
from sessions_app.contrib.agents.tools import question_text
from sessions_app.errors import PromptExpired
from sessions_app.json_types import JsonObject
from sessions_app.prompts import AnyPrompt, as_text
from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    DropdownPrompt,
    NotificationPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
)

# The toolkit's answer has one option, also to a checkbox.
ONE = {"min_selected": 1, "max_selected": 1}
CHOICES: dict[str, tuple[Callable[..., AnyPrompt], Any]] = {
    HumanPromptModelType.BINARY_CHOICE: (BinaryPrompt, HumanResponseBinary),
    HumanPromptModelType.RADIO: (RadioPrompt, HumanResponseRadio),
    HumanPromptModelType.DROPDOWN: (DropdownPrompt, HumanResponseDropdown),
    HumanPromptModelType.CHECKBOX: (CheckboxPrompt, HumanResponseCheckbox),
}


async def ask_person(
    context: Context, calls: NestedCalls, interaction: "InteractionPrompt"
) -> "HumanResponse":
    """Ask a person what a function of the toolkit asks, and return the answer in its form.

    Raises:
        TimeoutError: nobody answered in time.
    """
    content = interaction.content
    common: JsonObject = {"text": question_text(content.text), "timeout": content.timeout}
    if content.error:
        common["error"] = content.error
    await calls.enter()
    try:
        match content.input_type:
            case HumanPromptModelType.TEXT:
                placeholder, required = content.placeholder or "", content.required
                prompt = TextPrompt(placeholder=placeholder, required=required, **common)
                return HumanResponseText(text=(await context.ask(prompt)).text)
            case HumanPromptModelType.NOTIFICATION:
                await context.ask(NotificationPrompt(**common))
                return HumanResponseNotification()
        return await _choose(context, content, common)
    except PromptExpired as error:
        raise TimeoutError(content.error or str(error)) from error


async def _choose(context: Context, content: Any, common: JsonObject) -> "HumanResponse":
    """Ask for one of the options, and return it."""
    if content.input_type not in CHOICES:
        raise ValueError(f"A prompt {content.input_type!r} cannot be asked here.")
    prompt_type, response_type = CHOICES[content.input_type]
    several = content.input_type == HumanPromptModelType.CHECKBOX
    values = _values(content.options)
    options = [
        Option(id=option.id, label=option.label, value=value, description=_described(option))
        for option, value in zip(content.options, values, strict=True)
    ]
    answer: Any = await context.ask(
        prompt_type(options=options, **common, **(ONE if several else {}))
    )
    # By its text: 1 and True are two options, and equal in Python.
    value = as_text(answer.values[0] if several else answer.value)
    place = [as_text(one) for one in values].index(value)
    return response_type(selected_option=content.options[place])


def _values(options: list[Any]) -> list[Any]:
    """Return what tells the options apart: their values, else their ids, else their labels, which
    all have the same default.
    """
    for field in ("value", "id", "label"):
        values = [getattr(option, field) for option in options]
        if all(map(_is_value, values)) and len(set(map(as_text, values))) == len(values):
            return values
    return [str(number) for number in range(1, len(options) + 1)]


def _is_value(value: object) -> bool:
    """Return whether an option of ours may have the value."""
    try:
        Option.model_validate({"value": value})
    except ValidationError:
        return False
    return True


def _described(option: Any) -> str:
    """Return an option's description; the toolkit has `default` for none."""
    text = getattr(option, "description", "default")
    return "" if text == "default" else text
