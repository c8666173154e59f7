"""Prompts that are answered by options."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StrictBool,
    field_validator,
    model_validator,
)
from pydantic_core import from_json

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.prompts.base import (
    MAX_NOTE,
    Content,
    Given,
    Prompt,
    Response,
    as_text,
    with_details,
)
from sessions_app.prompts.forms.data import check_storable_values
from sessions_app.prompts.texts import plain_text

R = TypeVar("R", bound=Response, covariant=True)

# What every client reads as the same: from there on JavaScript has no exact integers.
MOST = 2**53
Number = (
    Annotated[int, Field(strict=True, gt=-MOST, lt=MOST)]
    | Annotated[float, Field(strict=True, gt=-MOST, lt=MOST)]
)
Value = Annotated[str, Field(min_length=1, max_length=200)] | StrictBool | Number


class Option(BaseModel):
    """An option of a prompt. Without a label or an id its value stands in, as text.

    An answer means it by its value, or by that as text: `true` and `3` are found by "true" and "3".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    label: str = ""
    value: Value
    description: str = ""
    # The deed cannot be undone, and looks like that: danger is not in refusing it.
    destructive: bool = False
    # Who chooses it must say why.
    needs_note: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, option: object) -> object:
        if isinstance(option, str | bool | int | float):
            option = {"value": option}
        if not isinstance(option, dict) or ("id" in option and "label" in option):
            return option
        if isinstance(option.get("value"), str | bool | int | float):
            text = as_text(option["value"])
            option = {"id": text, "label": text, **option}
        return option

    @property
    def text(self) -> str:
        """The value as text: what a form sends for the option."""
        return as_text(self.value)


def split_note(answer: Given) -> tuple[Given, str]:
    """Split an answer into its value and its note, which come together as an object or as JSON."""
    content: object = answer
    if isinstance(answer, str) and answer.startswith("{"):
        with suppress(ValueError):
            content = from_json(answer)
    if isinstance(content, dict) and content.keys() == {"value", "note"}:
        return content["value"], str(content["note"] or "")
    return answer, ""


def with_note(answers: list[str], note: str) -> list[str]:
    """Put a note beside the answer, as `split_note` reads it; nothing changes without one."""
    return [as_text({"value": answer, "note": note}) for answer in answers] if note else answers


def check_note(note: str) -> None:
    """Raise Invalid if a person's note is too long, or cannot be stored."""
    if len(note) > MAX_NOTE:
        raise Invalid(_("The note must be a text of at most 10,000 characters."))
    check_storable_values(note)


@dataclass(frozen=True, slots=True)
class ChoiceResponse(Response):
    """`value` is the chosen option's value, of the type that the prompt gave it.

    `note` is what the person wrote beside it.
    """

    option: Option
    note: str = ""

    @property
    def selected_option(self) -> Option:
        """The chosen option, under the toolkit's name."""
        return self.option


@dataclass(frozen=True, slots=True)
class CheckboxResponse(Response):
    """`values` are the chosen options', in the prompt's order; `value` joins them by ", "."""

    options: tuple[Option, ...]

    @property
    def values(self) -> list[Any]:
        """The chosen values, of the types that the prompt gave them."""
        return [option.value for option in self.options]


class _WithOptions(Prompt[R]):
    """A prompt with named choices."""

    min_options: ClassVar[int] = 1
    max_options: ClassVar[int] = 100
    # Whether more than one may be chosen.
    several: ClassVar[bool] = False
    template = "chat_app/cards/options.html"
    takes = gettext_noop("one of these")
    can_agree = True

    # A plain value is short for an option with that value, which is what becomes of it. Type
    # checkers take a list of either where a sequence of both is wanted; a list is quick to dump.
    options: Annotated[
        Sequence[Option | Value],
        GetPydanticSchema(lambda _, handler: handler(list[Option])),
    ]

    @property
    def choices(self) -> list[Option]:
        """The options, with all of their fields filled."""
        return cast("list[Option]", self.options)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The value and label of each option, for a form."""
        return [(option.text, option.label) for option in self.choices]

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return the prompt with text values: others would break a plain client's buttons."""
        options = [{**option, "value": as_text(option["value"])} for option in content["options"]]
        return super().plain({**content, "options": options}, link)

    def answer_text(self, stored: JsonObject) -> str:
        values = stored["values"] if "values" in stored else [stored["value"]]
        labels = [self.find(value).label for value in values]
        text = ", ".join(labels) or gettext("(nothing chosen)")
        return f"{text} – {stored['note']}" if stored.get("note") else text

    @field_validator("options", mode="before")
    @classmethod
    def _check_order(cls, options: object) -> object:
        if isinstance(options, set | frozenset):
            raise ValueError("a set has another order in each process; give a list")  # noqa: TRY004
        return options

    @field_validator("options")
    @classmethod
    def _distinct(cls, options: list[Option]) -> list[Option]:
        if not cls.min_options <= len(options) <= cls.max_options:
            allowed = (
                f"exactly {cls.min_options}"
                if cls.min_options == cls.max_options
                else f"{cls.min_options} to {cls.max_options}"
            )
            raise ValueError(f"{cls.__name__} takes {allowed} options, not {len(options)}")
        if len({option.text for option in options}) != len(options):
            raise ValueError("two options have the same value")
        return options

    def find(self, answer: Given) -> Option:
        """Find the option that an answer means: by its value, else its id, else its label.

        Raises:
            Invalid: there is none; lists those there are.
        """
        text = as_text(answer)
        for name in ("text", "id", "label"):
            for option in self.choices:
                if getattr(option, name) == text:
                    return option
        values = [option.text for option in self.choices]
        raise Invalid(
            format_lazy(
                _("{answer} is not an option. Choose one of: {options}."),
                answer=repr(text[:100]),
                options=", ".join(values),
            ),
            options=values,
        )


class OneOption(_WithOptions[ChoiceResponse]):
    """A prompt whose answer is one option, with a note or without."""

    # Whether its card has a field for a note where no option needs one.
    offers_note: ClassVar[bool] = False
    default: Value | None = None

    @property
    def kind(self) -> str:
        """The same for all of these: the controls for a choice may change."""
        return "choice"

    def field(self) -> forms.Field:
        return forms.ChoiceField(choices=self.pairs, widget=forms.RadioSelect)

    def check(self, value: Given | None, values: Sequence[Given] | None) -> JsonObject:
        answers = [value] if value is not None else list(values or [])
        if len(answers) != 1:
            count = len(answers)
            raise Invalid(format_lazy(_("Choose exactly one option, not {n}."), n=count))
        answer, note = split_note(answers[0])
        option = self.find(answer)
        check_note(note)
        if option.needs_note and not note.strip():
            raise Invalid(format_lazy(_("“{option}” needs a note: say why."), option=option.label))
        return {"value": option.value, "note": note} if note else {"value": option.value}

    def default_answer(self) -> JsonObject | None:
        """Return the declared outcome of the deadline, which nobody writes a note to."""
        return None if self.default is None else {"value": self.find(self.default).value}

    def respond(self, stored: JsonObject, **attribution: Any) -> ChoiceResponse:
        option, note = self.find(stored["value"]), stored.get("note", "")
        return ChoiceResponse(value=option.value, option=option, note=note, **attribution)

    @property
    def note_options(self) -> str:
        """The options that need a note, in words."""
        return ", ".join(option.label for option in self.choices if option.needs_note)


class BinaryPrompt(OneOption):
    """Asks to choose between two; label them with verbs."""

    min_options = max_options = 2
    template = "chat_app/cards/buttons.html"
    takes = gettext_noop("one of two")
    offers_note = True
    input_type: Literal["binary_choice"] = "binary_choice"


class RadioPrompt(OneOption):
    """A prompt to choose one of a few options, all of them visible."""

    input_type: Literal["radio"] = "radio"


class DropdownPrompt(OneOption):
    """A prompt to choose one of many options."""

    input_type: Literal["dropdown"] = "dropdown"
    template = "chat_app/cards/dropdown.html"

    def field(self) -> forms.Field:
        return forms.ChoiceField(choices=[("", _("Choose…")), *self.pairs])

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        return super().plain({**content, "input_type": "radio"}, link)


class CheckboxPrompt(_WithOptions[CheckboxResponse]):
    """A prompt to choose several options."""

    input_type: Literal["checkbox"] = "checkbox"
    min_selected: int = Field(default=0, ge=0)
    max_selected: int | None = Field(default=None, ge=1)
    default: list[Value] | None = None
    several = True
    takes = gettext_noop("some of these")

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.min_selected > self.most:
            raise ValueError(
                f"min_selected is {self.min_selected}, and at most {self.most} can be selected: "
                "lower it, raise max_selected, or give more options"
            )
        return self

    @property
    def most(self) -> int:
        """The number of options of which no more can be selected."""
        options = len(self.options)
        return min(self.max_selected or options, options)

    @property
    def is_required(self) -> bool:
        return False

    @property
    def how_many(self) -> str:
        """The number of options it takes, in words; empty if any number will do."""
        least, most, options = self.min_selected, self.most, len(self.options)
        if least == most:
            return ngettext("Choose %(n)d.", "Choose %(n)d.", least) % {"n": least}
        if not least:
            return "" if most == options else gettext("Choose up to %(n)d.") % {"n": most}
        if most == options:
            return gettext("Choose at least %(n)d.") % {"n": least}
        return gettext("Choose %(least)d to %(most)d.") % {"least": least, "most": most}

    def field(self) -> forms.Field:
        return forms.MultipleChoiceField(
            choices=self.pairs, widget=forms.CheckboxSelectMultiple, required=False
        )

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        least, options = content.get("min_selected", 0), content["options"]
        how_many = f"{least} to {content.get('max_selected') or len(options)}"
        names = ", ".join(map(_typable, options))
        instruction = f"Name {how_many} of these, with commas between: {names}"
        text = f"{with_details(content)}\n\n{instruction}"
        return [plain_text(content, text, placeholder=names[:100], required=least > 0)]

    def check(self, value: Given | None, values: Sequence[Given] | None) -> JsonObject:
        answers = values
        if answers is None:
            answers = [] if value is None else self._split_options(as_text(value))
        texts = {self.find(item).text for item in answers}
        if len(texts) < self.min_selected:
            few = _("Choose at least {least}; {n} are chosen.")
            raise Invalid(format_lazy(few, least=self.min_selected, n=len(texts)))
        if self.max_selected is not None and len(texts) > self.max_selected:
            many = _("Choose at most {most}; {n} are chosen.")
            raise Invalid(format_lazy(many, most=self.max_selected, n=len(texts)))
        return {"values": [option.value for option in self.choices if option.text in texts]}

    def _split_options(self, text: str) -> list[str]:
        """Split a text into options: one, or several with commas between.

        Case does not matter, where none is written just so; of names that are alike it is as for
        `find`.
        """
        values = {
            fold(getattr(option, name).strip()): option.text
            for fold in (str.casefold, str)
            for name in ("label", "id", "text")
            for option in reversed(self.choices)
        }

        def value_of(item: str) -> str | None:
            return values.get(item, values.get(item.casefold()))

        whole = [text] if value_of(text.strip()) else text.split(",")
        items = filter(None, (item.strip() for item in whole))
        return [value_of(item) or item for item in items]

    def respond(self, stored: JsonObject, **attribution: Any) -> CheckboxResponse:
        options = tuple(map(self.find, stored["values"]))
        value = ", ".join(option.text for option in options)
        return CheckboxResponse(value=value, options=options, **attribution)


def _typable(option: JsonObject) -> str:
    """Return a name of the option that can stand in a list with commas."""
    names: list[str] = [option["label"], as_text(option["value"]), option["id"]]
    return next((name for name in names if "," not in name), names[0])
