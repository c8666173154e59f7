"""Prompts as they are stored, and back."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from sessions_app.prompts.base import Prompt, Response, Together
from sessions_app.prompts.choices import (
    BinaryPrompt,
    CheckboxPrompt,
    DropdownPrompt,
    OneOption,
    RadioPrompt,
)
from sessions_app.prompts.forms.prompt import FormPrompt
from sessions_app.prompts.texts import NotificationPrompt, OAuthPrompt, TextPrompt
from sessions_app.storage.storable import storable

R = TypeVar("R", bound=Response)

# On one card: a person looks at all of them before they answer.
MOST_TOGETHER = 20
# As JSON has a NUL; a backslash before "u0000" looks the same.
ESCAPED_NUL = b"\\u0000"

AnyPrompt = Annotated[
    TextPrompt
    | NotificationPrompt
    | BinaryPrompt
    | RadioPrompt
    | DropdownPrompt
    | CheckboxPrompt
    | OAuthPrompt
    | FormPrompt[Any],
    Field(discriminator="input_type"),
]

_adapter: TypeAdapter[AnyPrompt] = TypeAdapter(AnyPrompt)


def kind_of(prompt: Any) -> str:
    """What an answer to it is. Where that is one of several options, the controls may change."""
    return "choice" if isinstance(prompt, OneOption) else str(prompt.input_type)


def dump_prompt(prompt: BaseModel) -> bytes:
    """The prompt as it is stored: JSON, without the characters that `storable` replaces."""
    with suppress(PydanticSerializationError):  # half of a surrogate pair
        json = to_json(prompt)
        if ESCAPED_NUL not in json:
            return json
    return to_json(storable(prompt.model_dump(mode="json")))


def load_prompt(stored: dict[str, Any]) -> AnyPrompt:
    """The prompt from its stored JSON."""
    return _adapter.validate_python(stored)


def on_one_card(prompts: Sequence[Prompt[R]], title: str, first: int) -> list[Prompt[R]]:
    """The prompts, as those that one card has; `first` is the position of the first.

    Raises:
        ValueError: they are too many, or one has buttons that do something at once, or takes files.
    """
    if len(prompts) > MOST_TOGETHER:
        raise ValueError(f"at most {MOST_TOGETHER} prompts are asked together, not {len(prompts)}")
    for prompt in prompts:
        is_large = isinstance(prompt, FormPrompt) and (prompt.reject or prompt.takes_files)
        if is_large or isinstance(prompt, NotificationPrompt | OAuthPrompt):
            raise ValueError(f"a {type(prompt).__name__} has a card of its own; ask it by itself")
    together = Together(title=title, first=first)
    return [prompt.model_copy(update={"together": together}) for prompt in prompts]
