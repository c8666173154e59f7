"""The base of all prompts, answers and responses, with the storage and loading of prompts."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    NoReturn,
    Self,
    TypeVar,
    Union,
    cast,
)

from django import forms
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.models import AttachedFile, Attachment
from sessions_app.prompts.details import ArgumentRow, line
from sessions_app.prompts.titles import without_marks
from sessions_app.storage.storable import check_storable, storable

# The value of an answer that a project's code gives: a text, an option's value, or an object.
Given = str | bool | int | float | JsonObject
# Uploaded files for a prompt's form, by field name.
Files = Mapping[str, AttachedFile]
# Rows of the files that a browser sent with a card's form, by field name; already stored.
PageFiles = Mapping[str, Attachment]
# A prompt as sent to clients: the stored JSON, except that `timeout` is the remaining seconds.
Content = JsonObject
# Decisions without further data: accept a proposal unchanged, or reject it.
APPROVE, REJECT = "approve", "reject"
# Maximum number of prompts on one card, as a person reads all of them before answering.
MOST_TOGETHER = 20
# The escape of a NUL in JSON. An escaped backslash before "u0000" matches too, which is harmless.
ESCAPED_NUL = b"\\u0000"
# Validation context for loading stored prompts: skips the checks that were made at asking.
STORED = {"stored": True}
MAX_TEXT = 20_000  # maximum characters of a prompt's text
MAX_NOTE = 10_000  # maximum characters of a person's note


def as_text(value: Given) -> str:
    """Return the value as text-only clients send it: true, false, 3, 0.5, {"days": 3}."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return json.dumps(value, default=to_jsonable_python)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


def check_note(note: str) -> None:
    """Raise Invalid if a person's note is too long, or cannot be stored."""
    if len(note) > MAX_NOTE:
        raise Invalid(
            pgettext_lazy("hitl", "The note must be a text of at most 10,000 characters.")
        )
    check_storable(pgettext_lazy("hitl", "The note"), note)


# The classes of answers, one for each kind of front end. A prompt has one method for each class, so
# that it need not guess the front end from the shape of an answer.


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """A text, the only answer of a plain client; the text may name an option."""

    text: str
    files: ClassVar[PageFiles] = {}


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A JSON value of a program, in the form shown in docs/protocol.md for the type of prompt."""

    value: JsonValue
    files: ClassVar[PageFiles] = {}

    @classmethod
    def of(cls, value: object) -> Self:
        """Make an answer of a Python value; dates, decimals and the like become texts.

        Raises:
            Invalid: the value has half of a surrogate pair.
        """
        try:
            return cls(to_jsonable_python(value))
        except UnicodeEncodeError:
            raise Invalid(
                pgettext_lazy("hitl", "The answer contains a character that cannot be stored.")
            ) from None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A browser's submission of a card's form.

    `values` are the values of the pressed button, the chosen options or the text; `note` is the
    note beside an option. `fields` has the texts of a prompt's own form, by the name of the field.
    """

    values: Sequence[str] = ()
    note: str = ""
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    files: PageFiles = field(default_factory=dict)

    @property
    def value(self) -> str:
        """The only value.

        Raises:
            Invalid: there is no value, or there are several.
        """
        if len(self.values) != 1:
            raise Invalid(pgettext_lazy("hitl", "Choose one of the answers that the card offers."))
        return self.values[0]

    @property
    def text(self) -> str:
        """The chosen options and typed texts, as one text."""
        typed = {name: ", ".join(texts) for name, texts in self.fields.items()}
        fields = (f"{name}: {text}".removeprefix("_note: ") for name, text in typed.items() if text)
        chosen = ", ".join(filter(None, [*self.values, self.note]))
        return "; ".join(filter(None, [chosen, *fields]))


Answer = TextAnswer | JsonAnswer | PageAnswer


@dataclass(frozen=True, slots=True)
class PromptVote:
    """A person's answer to a prompt that needs the same answer from several people.

    `note` may be empty; `via` is the front end of the answer.
    """

    by: str
    at: datetime
    value: Any
    via: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A person's answer to a prompt, or the declared default after the deadline.

    `by` is a username, or None with `is_default`. `votes` has each person's vote on an assigned
    prompt.
    """

    value: Any
    by: str | None
    at: datetime | None
    is_default: bool
    votes: tuple[PromptVote, ...] = field(default=(), kw_only=True)

    def __bool__(self) -> NoReturn:
        """Refuse a response as a condition: it would count as yes, also where a person said no."""
        raise TypeError(
            "A response is neither true nor false. Compare what it says, as in "
            '`answer.value == "yes"`, or `answer.approved` of an approval.'
        )

    @property
    def content(self) -> Self:
        """The response itself, as code written for NeMo Agent Toolkit reads `response.content`."""
        return self


R = TypeVar("R", bound=Response, covariant=True)


class Together(BaseModel):
    """The card that prompts are asked on together: its title, and the position of the first one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, max_length=200)
    first: int


def is_none(value: object) -> bool:
    """Return whether a field is None, and so left out of the stored and sent JSON."""
    return value is None


@dataclass(frozen=True, slots=True)
class FieldText:
    """A form field and its value as texts, for people.

    `before` is the proposed value; `is_changed` is true if the person has changed it. `file` is the
    id of an uploaded file.
    """

    label: str
    before: str
    after: str
    is_changed: bool
    file: str = ""

    @property
    def change(self) -> str:
        """The change of the value as one line of text."""
        return f"{self.label}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class FormButton:
    """A button of a prompt's form; pressing it sends `value` under `name`, if there is a name.

    A primary button requires valid fields.
    """

    label: str
    name: str = ""
    value: str = ""
    is_primary: bool = False


class Prompt(BaseModel, Generic[R]):
    """A question to a person. `timeout` is in seconds; None waits for ever.

    At the deadline the run goes on with `default` where one is declared, else `PromptExpired` is
    raised in the workflow; `error` is the sentence shown then. `details` is shown as a table: what
    will happen, in the server's own words.

    A subclass that declares an `input_type` is a type of prompt. Everything that differs between
    types is a member of this class, which itself behaves as a text prompt.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The accepted kind of answer, for error messages and for the admin.
    takes: ClassVar[str | Promise] = pgettext_lazy("hitl", "a text")
    # Class of the response that the workflow gets.
    response: ClassVar[type[Response]] = Response
    # True if the card has buttons that answer immediately, without a form to submit.
    acts: ClassVar[bool] = False
    # True if a person may give the same answer to several such prompts in one action.
    alike: ClassVar[bool] = True
    # True if a prompt may require that several people give the same answer.
    can_agree: ClassVar[bool] = False
    # True for a note without a question: seeing it is the answer. Such a prompt does not count as
    # open, and counts as seen once it is sent to a plain client, which never answers it.
    is_seen: ClassVar[bool] = False

    if TYPE_CHECKING:  # for type checkers only: a real field would be ordered before `text`
        input_type: str

    text: str = Field(min_length=1, max_length=MAX_TEXT)
    timeout: float | None = Field(default=None, gt=0, le=10 * 365 * 86400)
    error: str = "The time for an answer is over."
    details: dict[str, JsonValue] = Field(default_factory=dict)
    # The shared card of prompts that `ask_all` asks; left out of the JSON if None.
    together: Together | None = Field(default=None, exclude_if=is_none)

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: object) -> None:
        """Register the class under its `input_type`."""
        field = cls.model_fields.get("input_type")
        if field is not None and not field.is_required():
            registered_class = _types.setdefault(field.default, cls)
            if not issubclass(cls, registered_class):
                raise TypeError(
                    f"{registered_class!r} has the input_type {field.default!r} already"
                )

    def check(self, answer: Answer) -> JsonObject:
        """Check an answer, and return its stored form.

        Raises:
            Invalid: the prompt refuses the answer; the message names acceptable ones.
        """
        match answer:
            case TextAnswer():
                return self.from_text(answer.text)
            case JsonAnswer():
                return self.from_json(answer.value)
            case PageAnswer():
                return self.from_page(answer)

    def from_text(self, text: str) -> JsonObject:
        """Check the text of a plain client, and return its stored form; raises as `check`."""
        raise NotImplementedError

    def from_json(self, value: JsonValue) -> JsonObject:
        """Check the JSON of a program, and return its stored form; raises as `check`.

        By default, a text, a number or a truth value, also alone in a list, is read as text.
        """
        match value:
            case str() | bool() | int() | float():
                return self.from_text(as_text(value))
            case [element] if not isinstance(element, list):
                return self.from_json(element)
        raise Invalid(
            format_lazy(
                pgettext_lazy("hitl", "This takes {takes}: send one value."), takes=self.takes
            )
        )

    def from_page(self, page: PageAnswer) -> JsonObject:
        """Check the form of a page, and return its stored form; raises as `check`."""
        return self.from_text(page.value)

    def respond(self, stored: JsonObject, **attribution: Any) -> R:
        """Build the typed response from the result of `check`."""
        return cast("R", self.response(stored["value"], **attribution))

    def votes_in(self, stored: JsonObject) -> tuple[PromptVote, ...]:
        """Return the votes in a stored response."""
        votes = []
        for record in stored.get("votes", ()):
            at = datetime.fromisoformat(record["at"])
            vote = self.respond(record, by=record["by"], at=at, is_default=False)
            note = record.get("note", "")
            votes.append(PromptVote(record["by"], at, vote.value, record["via"], note))
        return tuple(votes)

    @property
    def kind(self) -> str:
        """The text that a replay compares: a recorded answer counts if the text is the same."""
        return self.input_type

    @property
    def has_own_card(self) -> bool:
        """True if the prompt cannot share a card with others."""
        return self.acts or self.takes_files

    @property
    def is_required(self) -> bool:
        """True if the answer's field must not be empty."""
        return True

    @property
    def takes_files(self) -> bool:
        """True if an answer can have uploaded files."""
        return False

    @property
    def choices(self) -> Sequence[Any]:
        """The options to choose from, with defaults filled in; empty for other types of prompts."""
        return ()

    @property
    def how_many(self) -> str:
        """The number of options to choose, in words; empty if obvious."""
        return ""

    @property
    def question(self) -> str:
        """The heading of the card: the first line of the text."""
        return self.text.strip().partition("\n")[0]

    @property
    def shown_text(self) -> str:
        """The whole text, with standard phrases in the reader's language."""
        return self.text

    @property
    def more(self) -> str:
        """The text below the heading."""
        return self.text.strip().partition("\n")[2].strip("\n")

    @classmethod
    def title(cls, content: Content) -> str:
        """Return the question for a list; only `text` and `request` of the content are used."""
        return without_marks(str(content["text"]).strip().partition("\n")[0])

    def check_found(self) -> None:
        """Raise FormChanged or Invalid if the prompt's class is gone, so that nobody can answer."""

    def make(
        self,
        data: Mapping[str, list[str]] | None = None,
        files: Files = MappingProxyType({}),
        **options: object,
    ) -> forms.BaseForm | None:
        """Build the prompt's form, with the data and files of an answer, if given.

        None for a prompt answered by a single `field`.
        """
        return None

    @property
    def buttons(self) -> Sequence[FormButton]:
        """The buttons of the form; Enter presses the first one."""
        return [FormButton(pgettext("hitl", "Answer"), is_primary=True)]

    @property
    def proposed(self) -> dict[str, str]:
        """The values proposed by the form, by field, for people to read."""
        return {}

    @property
    def arguments_shown(self) -> Sequence[ArgumentRow]:
        """The arguments of the tool call to be approved."""
        return ()

    def field(self) -> forms.Field:
        """Build the form field for the answer; `check` validates the answer, not the field."""
        return forms.CharField(widget=forms.Textarea, required=False, strip=False)

    def answer_text(self, stored: JsonObject) -> str:
        """Return the stored answer for people to read, with labels for values."""
        return str(stored.get("value", "")) or pgettext("hitl", "(empty)")

    def decision(self, stored: JsonObject) -> str:
        """Return APPROVE or REJECT if the stored answer is one of these decisions, else ""."""
        return ""

    def texts(self, stored: JsonObject) -> Sequence[FieldText]:
        """Return a form's stored answer for people to read, field by field."""
        return ()

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return one or more prompts with the same meaning that a plain client can show.

        Where a client has no suitable controls, a person answers on the page behind the link.
        """
        return [{**content, "text": with_details(content)}]

    @classmethod
    def http(cls, content: Content) -> JsonObject:
        """Return the HTTP response of a run that stops at this prompt."""
        return {"status": "interaction_required", "prompt": content}

    def default_answer(self) -> JsonObject | None:
        """Return the declared default for the deadline, in the stored form of `check`."""
        default = getattr(self, "default", None)
        if default is None:
            return None
        return self.from_json(default)

    @model_validator(mode="after")
    def _default_is_an_answer(self) -> "Prompt[R]":
        try:
            self.default_answer()
        except Invalid as error:
            raise ValueError(f"default: {error}") from error
        return self


AnyPrompt = Prompt[Any]
_types: dict[str, type[AnyPrompt]] = {}


class MissingPrompt(Prompt[Response]):
    """The stand-in for a stored prompt whose class is not installed, or cannot read its JSON.

    People can read the question; nobody can answer it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    takes = pgettext_lazy("hitl", "nothing, as its kind is not installed here")
    alike = False

    input_type: str
    default: JsonValue = None

    def check_found(self) -> NoReturn:
        """Raise Invalid: nobody can answer the prompt."""
        reason = pgettext_lazy(
            "hitl",
            "This server cannot read questions of the kind “{kind}”: the application that has them "
            "is not installed here, or has changed. An administrator can install it again.",
        )
        raise Invalid(format_lazy(reason, kind=self.input_type))

    def check(self, answer: Answer) -> JsonObject:
        self.check_found()

    def make(self, *_arguments: object, **_options: object) -> forms.BaseForm | None:
        """Raise Invalid: a stand-in has no form."""
        self.check_found()

    def default_answer(self) -> JsonObject | None:
        """Return the declared default unchecked, for people to read."""
        return None if self.default is None else {"value": self.default}

    def answer_text(self, stored: JsonObject) -> str:
        return ", ".join(map(as_text, stored.get("values", [stored.get("value", "")])))

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        return [{**content, "input_type": "text", "text": with_details(content)}]


def type_of(input_type: str) -> type[AnyPrompt]:
    """Return the class of prompts with this `input_type`, or MissingPrompt."""
    return _types.get(input_type, MissingPrompt)


def seen_types() -> list[str]:
    """Return the types of prompts that ask nothing, and are answered by being seen."""
    return [name for name, type_ in _types.items() if type_.is_seen]


def question_title(content: Content) -> str:
    """Return the question of a stored prompt for a list."""
    return type_of(content["input_type"]).title(content)


def any_type() -> Any:
    """Build the union of all types of prompts, discriminated by `input_type`."""
    types = [
        class_[Any] if class_.__pydantic_generic_metadata__["parameters"] else class_  # type: ignore[index]
        for class_ in _types.values()
    ]
    return Annotated[Union[*types], Field(discriminator="input_type")]


def details_line(content: Content) -> str:
    """Return the details on one line, for clients without a table."""
    return "; ".join(f"{name}: {line(value)}" for name, value in content.get("details", {}).items())


def with_details(content: Content) -> str:
    """Return the text with the details below it."""
    details = details_line(content)
    return f"{content['text']}\n\n({details})" if details else str(content["text"])


def dump_prompt(prompt: BaseModel) -> bytes:
    """Dump the prompt for storage: JSON, without the characters that `storable` replaces."""
    with suppress(PydanticSerializationError):  # a lone surrogate fails, and is replaced below
        json = to_json(prompt)
        if ESCAPED_NUL not in json:
            return json
    return to_json(storable(prompt.model_dump(mode="json")))


def load_prompt(stored: JsonObject) -> AnyPrompt:
    """Load the prompt from its stored JSON; return a MissingPrompt if the class is gone."""
    try:
        return load_typed_prompt(stored)
    except ValueError:
        return MissingPrompt.model_validate(stored)


def answer_text(stored: JsonObject, response: JsonObject) -> str:
    """Return the stored answer to a stored prompt for people to read."""
    return load_prompt(stored).answer_text(response)


def load_typed_prompt(stored: JsonObject) -> AnyPrompt:
    """Load the prompt from its stored JSON.

    Raises:
        ValueError: the class is gone, is not imported, or no longer accepts the JSON.
    """
    input_type = stored.get("input_type", "")
    if input_type not in _types:
        raise ValueError(f"no class of a prompt has the input_type {input_type!r}")
    return _types[input_type].model_validate(stored, context=STORED)


def on_one_card(prompts: Sequence[Prompt[R]], title: str, first: int) -> list[Prompt[R]]:
    """Return the prompts as parts of one card; `first` is the position of the first prompt.

    Raises:
        ValueError: there are too many prompts, or one must have a card of its own.
    """
    if len(prompts) > MOST_TOGETHER:
        raise ValueError(f"at most {MOST_TOGETHER} prompts are asked together, not {len(prompts)}")
    for prompt in prompts:
        if prompt.has_own_card:
            raise ValueError(f"a {type(prompt).__name__} has a card of its own; ask it by itself")
    together = Together(title=title, first=first)
    return [prompt.model_copy(update={"together": together}) for prompt in prompts]
