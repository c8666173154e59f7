"""Prompts, which a workflow asks, and responses, which it gets back.

`input_type` and the field names are those of the wire (docs/protocol.md).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    JsonValue,
    StrictBool,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticSerializationError, to_json

from sessions_app.errors import Invalid
from sessions_app.storage.storable import storable

# As JSON has a NUL; a backslash before "u0000" looks the same.
ESCAPED_NUL = b"\\u0000"
# What every client reads as the same: from there on JavaScript has no exact integers.
MOST = 2**53
Number = (
    Annotated[int, Field(strict=True, gt=-MOST, lt=MOST)]
    | Annotated[float, Field(strict=True, gt=-MOST, lt=MOST)]
)
Value = Annotated[str, Field(min_length=1, max_length=200)] | StrictBool | Number
# An answer as it is given: a text, or an option's value itself.
Given = str | bool | int | float


def as_text(value: Given) -> str:
    """The value as clients that know only texts send it: true, false, 3, 0.5."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


class Option(BaseModel):
    """One choice. Without a label or an id its value stands in, as text.

    An answer means it by its value, or by that as text: `true` and `3` are found by "true" and "3".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    label: str = ""
    value: Value
    description: str = ""
    # A destructive choice is never focused by default and looks like one.
    destructive: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if isinstance(given, Given):
            given = {"value": given}
        if not isinstance(given, dict) or ("id" in given and "label" in given):
            return given
        if isinstance(given.get("value"), Given):
            text = as_text(given["value"])
            given = {"id": text, "label": text, **given}
        return given

    @property
    def text(self) -> str:
        """Its value as text: what a form sends for it."""
        return as_text(self.value)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `by` is a username; None with `is_default` where the deadline passed and the
    prompt's declared default stands in.
    """

    value: Any
    by: str | None
    at: datetime | None
    is_default: bool


@dataclass(frozen=True, slots=True)
class TextResponse(Response):
    """`value` is the text."""

    @property
    def text(self) -> str:
        """The text as typed."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class ChoiceResponse(Response):
    """`value` is the chosen option's value, of the type that the prompt gave it."""

    option: Option


@dataclass(frozen=True, slots=True)
class CheckboxResponse(Response):
    """`values` are the chosen options', in the prompt's order; `value` joins them by ", "."""

    options: tuple[Option, ...]

    @property
    def values(self) -> list[Any]:
        """The chosen values, of the types that the prompt gave them."""
        return [option.value for option in self.options]


@dataclass(frozen=True, slots=True)
class NotificationResponse(Response):
    """The note was seen; `value` is "ok"."""


@dataclass(frozen=True, slots=True)
class ConsentResponse(Response):
    """The person says what came of signing in elsewhere; whether it is true, the provider knows."""

    @property
    def granted(self) -> bool:
        """Whether they say that they have signed in and agreed."""
        return bool(self.value == "done")


R = TypeVar("R", bound=Response, covariant=True)


class Prompt(BaseModel, Generic[R]):
    """What is asked. `timeout` is in seconds; None waits for ever.

    At the deadline the run goes on with `default` where one is declared, else `PromptExpired` is
    raised in the workflow; `error` is the sentence shown then. `details` is shown as a table: what
    will happen, in the server's own words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=20_000)
    timeout: float | None = Field(default=None, gt=0, le=10 * 365 * 86400)
    error: str = "The time for an answer is over."
    details: dict[str, JsonValue] = Field(default_factory=dict)

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        """The answer as it is stored.

        Raises:
            Invalid: it is none that this prompt takes; says which would be.
        """
        raise NotImplementedError

    def respond(self, stored: dict[str, Any], **who: Any) -> R:
        """The typed response from what `check` returned."""
        raise NotImplementedError

    def default_answer(self) -> dict[str, Any] | None:
        """The declared outcome of the deadline, as `check` would store it."""
        default = getattr(self, "default", None)
        if default is None:
            return None
        if isinstance(default, list):
            return self.check(None, default)
        return self.check(default, None)

    @model_validator(mode="after")
    def _default_is_an_answer(self) -> "Prompt[R]":
        try:
            self.default_answer()
        except Invalid as error:
            raise ValueError(f"default: {error}") from error
        return self


class TextPrompt(Prompt[TextResponse]):
    """Asks for free text."""

    input_type: Literal["text"] = "text"
    placeholder: str = ""
    required: bool = True
    max_length: int = Field(default=10_000, ge=1, le=100_000)
    default: str | None = None

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        text = "\n".join(map(as_text, (values or []) if value is None else [value]))
        if self.required and not text.strip():
            raise Invalid("This prompt needs an answer; it is empty.")
        if len(text) > self.max_length:
            raise Invalid(
                f"The answer has {len(text):,} characters; this prompt takes {self.max_length:,}.",
                max_length=self.max_length,
            )
        return {"value": text}

    def respond(self, stored: dict[str, Any], **who: Any) -> TextResponse:
        return TextResponse(value=stored["value"], **who)


class NotificationPrompt(Prompt[NotificationResponse]):
    """Shows a note, and goes on when it was seen."""

    input_type: Literal["notification"] = "notification"
    default: Literal["ok"] | None = None

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        return {"value": "ok"}

    def respond(self, stored: dict[str, Any], **who: Any) -> NotificationResponse:
        return NotificationResponse(value="ok", **who)


class OAuthPrompt(Prompt[ConsentResponse]):
    """Asks to sign in elsewhere and to agree there. `text` is the URL to go to; it begins with
    http:// or https://. `details` may say what for.
    """

    input_type: Literal["oauth_consent"] = "oauth_consent"
    default: Literal["declined"] | None = None

    @property
    def host(self) -> str:
        """Where the link leads: a person must see it before they follow it."""
        return urlsplit(self.text).netloc

    @field_validator("text")
    @classmethod
    def _leads_somewhere(cls, url: str) -> str:
        found = urlsplit(url)
        if found.scheme not in ("http", "https") or not found.hostname:
            raise ValueError("the text of an OAuthPrompt is a URL with http:// or https://")
        if "@" in found.netloc or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("the URL has a user name, or characters that must be encoded")
        return url

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        return {"value": "declined" if value == "declined" else "done"}

    def respond(self, stored: dict[str, Any], **who: Any) -> ConsentResponse:
        return ConsentResponse(value=stored["value"], **who)


class _WithOptions(Prompt[R]):
    """A prompt with named choices."""

    min_options: ClassVar[int] = 1
    max_options: ClassVar[int] = 100

    # A plain value is short for an option with that value, which is what becomes of it. Type
    # checkers take a list of either where a sequence of both is wanted; a list is quick to dump.
    options: Annotated[
        Sequence[Option | Value],
        GetPydanticSchema(lambda _, handler: handler(list[Option])),
    ]

    @property
    def choices(self) -> list[Option]:
        """The options, none of them short."""
        return cast("list[Option]", self.options)

    @field_validator("options", mode="before")
    @classmethod
    def _ordered(cls, given: Any) -> Any:
        if isinstance(given, set | frozenset):
            raise ValueError("a set has another order in each process; give a list")  # noqa: TRY004
        return given

    @field_validator("options")
    @classmethod
    def _distinct(cls, options: list[Option]) -> list[Option]:
        if not cls.min_options <= len(options) <= cls.max_options:
            wanted = (
                f"exactly {cls.min_options}"
                if cls.min_options == cls.max_options
                else f"{cls.min_options} to {cls.max_options}"
            )
            raise ValueError(f"{cls.__name__} takes {wanted} options, not {len(options)}")
        if len({option.text for option in options}) != len(options):
            raise ValueError("two options have the same value")
        return options

    def find(self, answer: Given) -> Option:
        """The option meant by its value, else its id, else its label.

        Raises:
            Invalid: there is none; lists those there are.
        """
        text = as_text(answer)
        for name in ("text", "id", "label"):
            for option in self.choices:
                if getattr(option, name) == text:
                    return option
        offered = [option.text for option in self.choices]
        raise Invalid(
            f"{text[:100]!r} is not an option. Choose one of: {', '.join(offered)}.",
            options=offered,
        )


class _OneOption(_WithOptions[ChoiceResponse]):
    """A prompt whose answer is one option."""

    default: Value | None = None

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        given = [value] if value is not None else list(values or [])
        if len(given) != 1:
            raise Invalid(f"Choose exactly one option, not {len(given)}.")
        return {"value": self.find(given[0]).value}

    def respond(self, stored: dict[str, Any], **who: Any) -> ChoiceResponse:
        option = self.find(stored["value"])
        return ChoiceResponse(value=option.value, option=option, **who)


class BinaryPrompt(_OneOption):
    """Asks to choose between two; label them with verbs."""

    min_options = max_options = 2
    input_type: Literal["binary_choice"] = "binary_choice"


class RadioPrompt(_OneOption):
    """Asks to choose one of a few, all of them visible."""

    input_type: Literal["radio"] = "radio"


class DropdownPrompt(_OneOption):
    """Asks to choose one of many."""

    input_type: Literal["dropdown"] = "dropdown"


class CheckboxPrompt(_WithOptions[CheckboxResponse]):
    """Asks to choose several."""

    input_type: Literal["checkbox"] = "checkbox"
    min_selected: int = Field(default=0, ge=0)
    max_selected: int | None = Field(default=None, ge=1)
    default: list[Value] | None = None

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        given = values
        if given is None:
            given = [] if value is None else self._listed(as_text(value))
        chosen = {self.find(item).text for item in given}
        if len(chosen) < self.min_selected:
            raise Invalid(f"Choose at least {self.min_selected}; {len(chosen)} are chosen.")
        if self.max_selected is not None and len(chosen) > self.max_selected:
            raise Invalid(f"Choose at most {self.max_selected}; {len(chosen)} are chosen.")
        return {"values": [option.value for option in self.choices if option.text in chosen]}

    def _listed(self, text: str) -> list[str]:
        """What a text names: one option, or several with commas between. Case does not matter."""
        names = {
            name.strip().casefold(): option.text
            for option in reversed(self.choices)
            for name in (option.label, option.id, option.text)
        }
        whole = [text] if text.strip().casefold() in names else text.split(",")
        items = filter(None, (item.strip() for item in whole))
        return [names.get(item.casefold(), item) for item in items]

    def respond(self, stored: dict[str, Any], **who: Any) -> CheckboxResponse:
        chosen = tuple(map(self.find, stored["values"]))
        value = ", ".join(option.text for option in chosen)
        return CheckboxResponse(value=value, options=chosen, **who)


AnyPrompt = Annotated[
    TextPrompt
    | NotificationPrompt
    | BinaryPrompt
    | RadioPrompt
    | DropdownPrompt
    | CheckboxPrompt
    | OAuthPrompt,
    Field(discriminator="input_type"),
]

_adapter: TypeAdapter[AnyPrompt] = TypeAdapter(AnyPrompt)


def kind_of(prompt: Any) -> str:
    """What an answer to it is. Where that is one of several options, the controls may change."""
    return "choice" if isinstance(prompt, _OneOption) else str(prompt.input_type)


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
