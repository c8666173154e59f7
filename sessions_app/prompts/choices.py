"""The prompts that a person answers by choosing from options."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import npgettext, pgettext, pgettext_lazy
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    JsonValue,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject, load_json
from sessions_app.prompts.base import (
    APPROVE,
    REJECT,
    Content,
    Given,
    PageAnswer,
    Prompt,
    Response,
    as_text,
    check_note,
    with_details,
)
from sessions_app.prompts.texts import plain_text

R = TypeVar("R", bound=Response, covariant=True)

# Limit of numbers: beyond 2**53, JavaScript, and so some clients, has no exact integers.
MAX_EXACT_NUMBER = 2**53
Number = (
    Annotated[int, Field(strict=True, gt=-MAX_EXACT_NUMBER, lt=MAX_EXACT_NUMBER)]
    | Annotated[float, Field(strict=True, gt=-MAX_EXACT_NUMBER, lt=MAX_EXACT_NUMBER)]
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
    # True if the option's action cannot be undone; the button is styled as dangerous.
    destructive: bool = False
    # True if choosing the option requires a note with the reason.
    needs_note: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, option: object) -> object:
        if isinstance(option, str | bool | int | float):
            option = {"value": option}
        if isinstance(option, dict) and isinstance(option.get("value"), str | bool | int | float):
            text = as_text(option["value"])
            option = {"id": text, "label": text, **option}
        return option

    @property
    def text(self) -> str:
        """The value as text, as sent by a form."""
        return as_text(self.value)

    @property
    def names(self) -> tuple[str, str, str]:
        """The texts that identify the option, by precedence across all options."""
        return self.text, self.id, self.label


class _ChoiceWithNote(BaseModel):
    """The JSON with which a program answers by an option and a note."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: Value
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ChoiceResponse(Response):
    """The answer to a prompt for one option, with the person's note on the choice.

    `value` is the chosen option's value, with the type given in the prompt.
    """

    option: Option
    note: str = ""

    @property
    def selected_option(self) -> Option:
        """The chosen option, under the name that NeMo Agent Toolkit uses."""
        return self.option


@dataclass(frozen=True, slots=True)
class CheckboxResponse(Response):
    """The chosen options: `values` in the order of the prompt; `value` joins them as a text."""

    value: str
    options: tuple[Option, ...]

    @property
    def values(self) -> list[Any]:
        """The chosen values, with the types given in the prompt."""
        return [option.value for option in self.options]


class _WithOptions(Prompt[R]):
    """A prompt with options to choose from."""

    min_options: ClassVar[int] = 1
    max_options: ClassVar[int] = 100
    # True if a person may choose more than one option.
    several: ClassVar[bool] = False
    takes = pgettext_lazy("hitl", "one of these")
    can_agree = True

    # Plain values are converted to Options. The annotation as Sequence lets type checkers accept
    # lists of both; the validation schema is a list, which is faster to dump.
    options: Annotated[
        Sequence[Option | Value],
        GetPydanticSchema(lambda _, handler: handler(list[Option])),
    ]

    @property
    def choices(self) -> list[Option]:
        """The options, with defaults filled in."""
        return cast("list[Option]", self.options)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The value and label of each option, for a form."""
        return [(option.text, option.label) for option in self.choices]

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return the prompt with text values: other types would break a plain client's buttons."""
        options = [{**option, "value": as_text(option["value"])} for option in content["options"]]
        return super().plain({**content, "options": options}, link)

    def answer_text(self, stored: JsonObject) -> str:
        values = stored["values"] if "values" in stored else [stored["value"]]
        labels = [self.find(value).label for value in values]
        text = ", ".join(labels) or pgettext("hitl", "(nothing chosen)")
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
        """Find the option with the answer as value, else as id, else as label.

        Raises:
            Invalid: there is no such option; the message lists all options.
        """
        text = as_text(answer)
        for names in zip(*(option.names for option in self.choices), strict=True):
            if text in names:
                return self.choices[names.index(text)]
        values = [option.text for option in self.choices]
        raise Invalid(
            format_lazy(
                pgettext_lazy("hitl", "{answer} is not an option. Choose one of: {options}."),
                answer=repr(text[:100]),
                options=", ".join(values),
            ),
            options=values,
        )


class OneOption(_WithOptions[ChoiceResponse]):
    """A prompt whose answer is one option, with a note or without."""

    # True if the card has a field for a note, even if no option requires a note.
    offers_note: ClassVar[bool] = False
    default: Value | None = None

    @property
    def kind(self) -> str:
        """The kind of all prompts for one option: a change of controls keeps recorded answers."""
        return "choice"

    def field(self) -> forms.Field:
        return forms.ChoiceField(choices=self.pairs, widget=forms.RadioSelect)

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return the prompt with a link to its page if an option needs a note."""
        [plain] = super().plain(content, link)
        if labels := [option["label"] for option in content["options"] if option.get("needs_note")]:
            plain["text"] += f"\n\nFor {' or '.join(labels)}, give the reason here: {link()}"
        return [plain]

    def from_text(self, text: str) -> JsonObject:
        """Find the option named by a text; the text may be a JSON object with value and note."""
        if not text.startswith("{") or any(text in option.names for option in self.choices):
            return self._choose(text)
        try:
            return self.from_json(load_json(text))
        except ValueError:
            return self._choose(text)

    def from_json(self, value: JsonValue) -> JsonObject:
        if isinstance(value, dict):
            try:
                choice = _ChoiceWithNote.model_validate(value)
            except ValidationError:
                example = {"value": self.choices[0].value, "note": ""}
                text = pgettext_lazy(
                    "hitl", "This takes one of its options, alone or with a note: {example}."
                )
                raise Invalid(
                    format_lazy(text, example=json.dumps(example, ensure_ascii=False)),
                    options=[option.text for option in self.choices],
                ) from None
            return self._choose(choice.value, choice.note or "")
        if isinstance(value, list) and len(value) != 1:
            count = len(value)
            raise Invalid(
                format_lazy(pgettext_lazy("hitl", "Choose exactly one option, not {n}."), n=count)
            )
        return super().from_json(value)

    def from_page(self, page: PageAnswer) -> JsonObject:
        if len(page.values) != 1:
            count = len(page.values)
            raise Invalid(
                format_lazy(pgettext_lazy("hitl", "Choose exactly one option, not {n}."), n=count)
            )
        return self._choose(page.value, page.note)

    def _choose(self, answer: Given, note: str = "") -> JsonObject:
        option = self.find(answer)
        check_note(note)
        if option.needs_note and not note.strip():
            raise Invalid(
                format_lazy(
                    pgettext_lazy("hitl", "Give a reason for “{option}”."), option=option.label
                )
            )
        return {"value": option.value, "note": note} if note else {"value": option.value}

    def decision(self, stored: JsonObject) -> str:
        return str(stored["value"]) if stored["value"] in (APPROVE, REJECT) else ""

    def default_answer(self) -> JsonObject | None:
        """Return the declared default for the deadline, without a note."""
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
    takes = pgettext_lazy("hitl", "one of two")
    offers_note = True
    input_type: Literal["binary_choice"] = "binary_choice"


class RadioPrompt(OneOption):
    """A prompt to choose one of a few options, all of them visible."""

    input_type: Literal["radio"] = "radio"


class DropdownPrompt(OneOption):
    """A prompt to choose one of many options."""

    input_type: Literal["dropdown"] = "dropdown"

    def field(self) -> forms.Field:
        return forms.ChoiceField(choices=[("", pgettext_lazy("hitl", "Choose…")), *self.pairs])

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
    takes = pgettext_lazy("hitl", "some of these")

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.min_selected > self.max_selectable:
            raise ValueError(
                f"min_selected is {self.min_selected}, and at most {self.max_selectable} can be "
                "selected: lower it, raise max_selected, or give more options"
            )
        return self

    @property
    def max_selectable(self) -> int:
        """The largest number of options that can be selected."""
        options = len(self.options)
        return min(self.max_selected or options, options)

    @property
    def is_required(self) -> bool:
        return False

    @property
    def how_many(self) -> str:
        """The number of options to choose, in words; empty if any number will do."""
        least, most, options = self.min_selected, self.max_selectable, len(self.options)
        if least == most:
            return npgettext("hitl", "Choose %(n)d.", "Choose %(n)d.", least) % {"n": least}
        if not least:
            return "" if most == options else pgettext("hitl", "Choose up to %(n)d.") % {"n": most}
        if most == options:
            return pgettext("hitl", "Choose at least %(n)d.") % {"n": least}
        return pgettext("hitl", "Choose %(least)d to %(most)d.") % {"least": least, "most": most}

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

    def from_text(self, text: str) -> JsonObject:
        return self._choose(self._split_options(text))

    def from_json(self, value: JsonValue) -> JsonObject:
        if not isinstance(value, list):
            return super().from_json(value)
        if not all(isinstance(element, str | bool | int | float) for element in value):
            raise Invalid(pgettext_lazy("hitl", "This takes a list of options, each by its value."))
        return self._choose(cast("list[Given]", value))

    def from_page(self, page: PageAnswer) -> JsonObject:
        return self._choose(page.values)

    def _choose(self, answers: Sequence[Given]) -> JsonObject:
        texts = {self.find(answer).text for answer in answers}
        if len(texts) < self.min_selected:
            few = pgettext_lazy("hitl", "Choose at least {least}; {n} are chosen.")
            raise Invalid(format_lazy(few, least=self.min_selected, n=len(texts)))
        if self.max_selected is not None and len(texts) > self.max_selected:
            many = pgettext_lazy("hitl", "Choose at most {most}; {n} are chosen.")
            raise Invalid(format_lazy(many, most=self.max_selected, n=len(texts)))
        return {"values": [option.value for option in self.choices if option.text in texts]}

    def _split_options(self, text: str) -> list[str]:
        """Split a text into options: one, or several separated by commas.

        An exact match goes before one that ignores case; equal names resolve as in `find`.
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
    """Return a name of the option without a comma, or its label if there is no such name."""
    names: list[str] = [option["label"], as_text(option["value"]), option["id"]]
    return next((name for name in names if "," not in name), names[0])
