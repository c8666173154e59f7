"""The prompt that asks for the approval of an agent's tool call."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from django import forms
from django.core.validators import EMPTY_VALUES
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, to_jsonable_python

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject, is_same_json, load_json
from sessions_app.prompts.base import (
    APPROVE,
    REJECT,
    STORED,
    Content,
    FieldText,
    Files,
    FormButton,
    PageAnswer,
    Prompt,
    Response,
    check_note,
    load_prompt,
    with_details,
)
from sessions_app.prompts.details import (
    ArgumentRow,
    argument_row,
    arguments_lines,
    is_kept_by_browsers,
    literal,
    name_text,
    type_word,
)
from sessions_app.prompts.forms.data import (
    PREFIX,
    as_posted,
    check_posted,
    check_storable_values,
    refusal_error,
)
from sessions_app.prompts.forms.fields import (
    initial_values,
    read_json_strictly,
    show_exactly,
    shows_exactly,
    use_native,
)
from sessions_app.prompts.forms.models import schema_fields
from sessions_app.prompts.forms.schema_checks import argument_problems, check_schema
from sessions_app.prompts.hidden_characters import mark
from sessions_app.prompts.texts import plain_choice

# The third decision besides `approve` and `reject`: a person writes the tool's result.
ANSWER = "answer"
# Name of the form field for the note. An argument of the same name is shown, but not editable.
NOTE = "_note"
# Beginning of an agent's question; the title of the call follows. Pages translate the beginning.
MAY_I = "May I do this: "
MAX_TITLE = 60  # maximum characters of an argument's title


class _Decision(BaseModel):
    """The base of decisions about a tool call; JSON with unknown fields is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Approve(_Decision):
    """The call is made, with the `arguments` as edited; without them as the agent wrote them."""

    decision: Literal["approve"]
    arguments: dict[str, JsonValue] | None = None
    note: str | None = None


class Reject(_Decision):
    """The call is not made; the note is the reason."""

    decision: Literal["reject"]
    note: str | None = None


class AnswerInstead(_Decision):
    """The call is not made; the note stands in for its result."""

    decision: Literal["answer"]
    note: str


Decision = Annotated[Approve | Reject | AnswerInstead, Field(discriminator="decision")]
DECISIONS: TypeAdapter[Approve | Reject | AnswerInstead] = TypeAdapter(Decision)


@dataclass(frozen=True, slots=True)
class ToolCallResponse(Response):
    """A person's decision about a tool call; `value` is `approve`, `reject` or `answer`.

    `arguments` are the final arguments for the tool, with the person's edits; `changed` names the
    edited ones, and `digest` is the SHA-256 of all arguments (see `digest_of`). `note` is the
    reason of a rejection, or stands in for the tool's result.
    """

    value: str
    arguments: JsonObject
    changed: tuple[str, ...]
    note: str
    digest: str

    @property
    def approved(self) -> bool:
        """True if the tool is to be called."""
        return bool(self.value == APPROVE)


class ToolCallPrompt(Prompt[ToolCallResponse]):
    """Asks whether a tool may be called: approve, reject with a reason, or answer in its place.

    `input_schema` is the JSON schema of the arguments. With `editable` the person may edit them;
    the schema is checked again, and the tool stays the same. With `answerable` a note of the
    person may stand in for the tool's result. What is not `approvable` can only be rejected or
    answered.
    """

    input_type: Literal["tool_call"] = "tool_call"
    tool: str = Field(min_length=1, max_length=200)
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    input_schema: dict[str, JsonValue] = Field(default_factory=dict)
    editable: bool = False
    answerable: bool = False
    # Left out of the JSON if True, as for nearly all calls.
    approvable: bool = Field(default=True, exclude_if=bool)
    default: Literal["approve", "reject"] | None = None

    takes = pgettext_lazy("hitl", "a decision about a tool call")
    response = ToolCallResponse
    alike = False

    @model_validator(mode="before")
    @classmethod
    def _leave_out_arguments(cls, fields: object) -> object:
        """Remove from `details` the arguments that earlier versions stored there."""
        if not isinstance(fields, dict) or not fields.get("details"):
            return fields
        return {**fields, "details": _own_details(fields)}

    @field_validator("input_schema")
    @classmethod
    def _check_schema(cls, schema: JsonObject, info: ValidationInfo) -> JsonObject:
        if info.context is not STORED and (problem := check_schema(schema)):
            raise ValueError(f"input_schema: {problem}")
        return schema

    def from_text(self, text: str) -> JsonObject:
        """Check a plain client's text: `approve`, `reject`, or a decision as JSON."""
        try:
            decision = {"decision": text} if text in (APPROVE, REJECT) else load_json(text)
        except ValueError:
            decision = None
        return self.from_json(decision if isinstance(decision, dict) else None)

    def from_json(self, value: JsonValue) -> JsonObject:
        """Check a decision as JSON; unknown and missing fields are refused."""
        match value:
            case str(text) | [str(text)]:
                return self.from_text(text)
        try:
            return self._settle(DECISIONS.validate_python(value))
        except ValidationError as error:
            problems = "; ".join(_problem(one) for one in error.errors(include_url=False)[:3])
            raise Invalid(
                format_lazy(
                    pgettext_lazy(
                        "hitl",
                        "This asks about a tool call: send {decisions} as JSON, such as {example}. "
                        "{problems}",
                    ),
                    decisions=", ".join(self.decisions),
                    example='{"decision": "reject", "note": ""}',
                    problems=problems,
                )
            ) from None

    def from_page(self, page: PageAnswer) -> JsonObject:
        """Check a page's answer: the pressed button, and the arguments if the call is approved."""
        note = "".join(page.fields.get(NOTE, ()))
        if page.value != APPROVE:
            return self.from_json({"decision": page.value, "note": note})
        form = self.make(page.fields)
        check_posted(form)
        if not form.is_valid():
            raise refusal_error(form)
        return self._settle(Approve(decision="approve", note=note, arguments=form.arguments))

    def _settle(self, decision: Approve | Reject | AnswerInstead) -> JsonObject:
        """Return the decision in stored form; only an approved call has edited arguments."""
        if decision.decision not in self.decisions:
            raise Invalid(
                pgettext_lazy("hitl", "Choose one of the decisions that the buttons name.")
            )
        arguments = self.arguments
        if isinstance(decision, Approve) and (edited := decision.arguments) is not None:
            arguments = {  # use the exact proposed value if unchanged
                name: arguments[name] if self._is_kept(name, edited) else value
                for name, value in edited.items()
            }
        if problems := self._problems(arguments):
            lists = {name: [problem] for name, problem in problems.items()}
            raise Invalid(" ".join(map(str, problems.values())), errors=lists)
        note = decision.note or ""
        check_note(note)
        if decision.decision == ANSWER and not note.strip():
            reason = pgettext_lazy("hitl", "Write the result into the note.")
            raise Invalid(reason, errors={NOTE: [reason]})
        check_storable_values(arguments)
        names = {**self.arguments, **arguments}
        return {
            "value": decision.decision,
            "note": note,
            "arguments": arguments,
            "changed": [one for one in names if not self._is_kept(one, arguments)],
            "digest": digest_of(arguments),
        }

    def _is_kept(self, name: str, arguments: JsonObject) -> bool:
        """Return whether an argument was proposed and is in `arguments` with the same value."""
        before = self.arguments
        return name in before and name in arguments and is_same_json(before[name], arguments[name])

    def _problems(self, arguments: JsonObject) -> "dict[str, str | Promise]":
        """Return the problems of edited arguments, by argument; empty if there are none."""
        if all(self._is_kept(name, arguments) for name in {**self.arguments, **arguments}):
            return {}
        if not self.editable:
            return {"": pgettext_lazy("hitl", "The arguments of this call cannot be edited.")}
        return argument_problems(self.input_schema, arguments)

    def respond(self, stored: JsonObject, **who: Any) -> ToolCallResponse:
        decision, changed = stored["value"], tuple(stored["changed"])
        contents = {name: stored[name] for name in ("arguments", "note", "digest")}
        return ToolCallResponse(decision, changed=changed, **contents, **who)

    @property
    def question(self) -> str:
        return self.title({"text": self.text})

    @property
    def shown_text(self) -> str:
        line, newline, more = self.text.strip().partition("\n")
        return f"{self.title({'text': line})}{newline}{more}"

    @classmethod
    def title(cls, content: Content) -> str:
        line = super().title(content)
        call = line.removeprefix(MAY_I)
        if call == line:
            return line
        return pgettext("hitl", "Allow “%(call)s”?") % {"call": call.removesuffix("?")}

    @property
    def kind(self) -> str:
        """The type with the tool's name: on replay, no recorded answer is used for another tool."""
        return f"{self.input_type} {self.tool}"

    @property
    def has_own_card(self) -> bool:
        return True

    @property
    def proposal(self) -> bool:
        """True if arguments can be edited, so that the card marks changed ones."""
        return self.editable

    @property
    def decisions(self) -> list[str]:
        """The decisions that a person may choose from."""
        offered = {APPROVE: self.approvable, REJECT: True, ANSWER: self.answerable}
        return [decision for decision, is_offered in offered.items() if is_offered]

    @property
    def buttons(self) -> list[FormButton]:
        labels = {
            APPROVE: pgettext("hitl", "Approve"),
            REJECT: pgettext("hitl", "Reject"),
            ANSWER: pgettext("hitl", "Use the note as the result"),
        }
        return [
            FormButton(labels[one], "value", one, is_primary=one == APPROVE)
            for one in self.decisions
        ]

    @property
    def proposed(self) -> dict[str, str]:
        fields = self._form_class().types if self.editable else ()
        return {name: _literal(name, self.arguments) for name in fields}

    @property
    def arguments_shown(self) -> list[ArgumentRow]:
        titles = _titles(self.input_schema)
        return [
            argument_row(
                name,
                value,
                title=titles.get(name, ""),
                is_editable=self.editable and _has_field(name),
            )
            for name, value in self.arguments.items()
        ]

    def make(
        self,
        data: Mapping[str, list[str]] | None = None,
        files: Files = MappingProxyType({}),
        **options: Any,
    ) -> "ToolCallForm":
        """Build the form: a field for each argument that can be edited, and one for the note."""
        prefix = options.setdefault("prefix", PREFIX)
        sent = None if data is None else as_posted(data, prefix)
        return self._form_class()(sent, prompt=self, **options)

    def texts(self, stored: JsonObject) -> list[FieldText]:
        """Return the arguments that were edited, and the note if there is one."""
        before, after = self.arguments, stored["arguments"]
        shown = [
            FieldText(
                name_text(name), _literal(name, before), _literal(name, after), is_changed=True
            )
            for name in stored["changed"]
        ]
        if stored["note"]:
            shown.append(FieldText(pgettext("hitl", "Note"), "", stored["note"], is_changed=False))
        return shown

    def decision(self, stored: JsonObject) -> str:
        return "" if stored["value"] == ANSWER else str(stored["value"])

    def answer_text(self, stored: JsonObject) -> str:
        """Return the decision, the note and the edits."""
        words = {
            APPROVE: pgettext("hitl", "Approved"),
            REJECT: pgettext("hitl", "Rejected"),
            ANSWER: pgettext("hitl", "Answered in place of the tool"),
        }
        edits = [one.change for one in self.texts(stored) if one.is_changed]
        return "; ".join(filter(None, [words[stored["value"]], stored["note"], *edits]))

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return the choice to approve or to reject, with a link to the page that offers more."""
        words = mark(with_details({**content, "details": _own_details(content)}))
        labels = {APPROVE: "Approve"} if content.get("approvable", True) else {}
        lines = [words, "", *arguments_lines(content["arguments"]), f"Give reasons here: {link()}"]
        return [plain_choice(content, "\n".join(lines), {**labels, REJECT: "Reject"})]

    def _form_class(self) -> "type[ToolCallForm]":
        """Build the form's class: a field for each argument, even if it is missing from the schema.

        An argument whose field would not show the exact value gets a JSON field.
        """
        if not self.editable:
            return ToolCallForm
        fields = schema_fields(self.input_schema)
        as_json = [
            name
            for name, value in self.arguments.items()
            if name not in fields or not shows_exactly(fields[name], value)
        ]
        fields |= schema_fields({"properties": {name: {} for name in as_json}})
        fields = {name: field for name, field in fields.items() if _has_field(name)}
        for name, field in fields.items():
            field.label = name_text(name)
            show_exactly(field, self.arguments.get(name))
        types = {name: self._type_in_words(name, field) for name, field in fields.items()}
        titles = _titles(self.input_schema)
        return type("Arguments", (ToolCallForm,), {**fields, "types": types, "titles": titles})

    def _type_in_words(self, name: str, field: forms.Field) -> str:
        if name not in self.arguments:
            return pgettext("hitl", "not given")
        return "JSON" if isinstance(field, forms.JSONField) else type_word(self.arguments[name])


class ToolCallForm(forms.Form):
    """The form of a tool call's card; once cleaned, `arguments` has the edited arguments.

    `types` are the types, in words, of the arguments with fields; `titles` come from the schema.
    """

    types: ClassVar[dict[str, str]] = {}
    titles: ClassVar[dict[str, str]] = {}

    _note = forms.CharField(
        label=pgettext_lazy("hitl", "Note"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        strip=False,
    )

    def __init__(self, data: Any = None, *, prompt: ToolCallPrompt, **options: Any) -> None:
        given = {name: prompt.arguments[name] for name in self.types if name in prompt.arguments}
        # Initial values are the agent's, including `null`; the schema's defaults do not apply.
        proposed = {**given, **initial_values(type(self), given)}
        super().__init__(data, initial=proposed, **options)
        self.order_fields([*(name for name in self.fields if name != NOTE), NOTE])
        self._prompt = prompt
        self.arguments = prompt.arguments
        required = prompt.input_schema.get("required")
        self._required = required if isinstance(required, list) else []
        for name, field in self.fields.items():
            is_empty = prompt.arguments.get(name) in EMPTY_VALUES
            field.required = field.required and name in self._required and not is_empty
        use_native(self)
        read_json_strictly(self)

    def full_clean(self) -> None:
        """Read the arguments if all fields are valid.

        An unchanged argument keeps the exact value that the agent wrote.
        """
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        self.arguments = dict(self._prompt.arguments)
        for name in self.changed_data:
            value = to_jsonable_python(self.cleaned_data[name])
            is_json = isinstance(self.fields[name], forms.JSONField)  # [] and null are JSON values
            is_empty = not (self[name].data or "").strip() if is_json else value in EMPTY_VALUES
            if is_empty and name not in self._required:
                self.arguments.pop(name, None)
            elif name != NOTE:
                self.arguments[name] = value


def digest_of(arguments: JsonObject) -> str:
    """Return the SHA-256, in hexadecimal, of the arguments as JSON with sorted names."""
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _problem(error: ErrorDetails) -> str:
    place = ".".join(str(part) for part in error["loc"][1:])
    return f"{place}: {error['msg']}." if place else f"{error['msg']}."


def _has_field(name: str) -> bool:
    """Return whether a form can have a field of this name; browsers alter line ends in names."""
    return name != NOTE and is_kept_by_browsers(name) and "\n" not in name


def _titles(schema: JsonObject) -> dict[str, str]:
    """Return the titles of a schema's properties, except those that only repeat the names.

    A schema's author may mislead, so pages show a title beside the name, and long titles are cut.
    """
    properties = schema.get("properties")
    titles = {
        name: one["title"]
        for name, one in (properties if isinstance(properties, dict) else {}).items()
        if isinstance(one, dict) and isinstance(one.get("title"), str)
    }
    return {
        name: title if len(title) <= MAX_TITLE else f"{title[:MAX_TITLE]}…"
        for name, title in titles.items()
        if _as_words(title) != _as_words(name)
    }


def _as_words(text: str) -> list[str]:
    return text.casefold().replace("_", " ").split()


def _own_details(content: Content) -> JsonObject:
    """Return a prompt's details, without the arguments that earlier versions stored among them."""
    details, arguments = content.get("details", {}), content.get("arguments", {})
    return {
        name: value
        for name, value in details.items()
        if name not in arguments or arguments[name] != value
    }


def _literal(name: str, arguments: JsonObject) -> str:
    return literal(arguments[name]) if name in arguments else pgettext("hitl", "not given")


def decision_on(
    stored: JsonObject, response: JsonObject | None, **attribution: Any
) -> ToolCallResponse | None:
    """Return the stored decision on a stored prompt; None without one, or for another prompt."""
    prompt = load_prompt(stored)
    if response is None or not isinstance(prompt, ToolCallPrompt):
        return None
    return prompt.respond(response, **attribution)
