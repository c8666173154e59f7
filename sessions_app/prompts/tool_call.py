"""The prompt that asks for the approval of an agent's tool call."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from django import forms
from django.core.validators import EMPTY_VALUES
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from pydantic import Field, JsonValue, field_validator, model_validator
from pydantic_core import from_json, to_json, to_jsonable_python

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.prompts.base import (
    MAX_NOTE,
    Content,
    FieldText,
    Files,
    FormButton,
    Given,
    Prompt,
    Response,
    as_text,
    single,
    with_details,
)
from sessions_app.prompts.forms.data import (
    PREFIX,
    as_posted,
    check_storable_values,
    refusal_error,
    texts,
)
from sessions_app.prompts.forms.fields import (
    FormField,
    describe_fields,
    initial_values,
    use_native,
    value_text,
)
from sessions_app.prompts.forms.models import argument_problems, check_schema, schema_fields
from sessions_app.prompts.forms.prompt import APPROVE, REJECT
from sessions_app.prompts.texts import in_common

# Beside `approve` and `reject`.
ANSWER = "answer"
# The names under which the form of a page sends what is no argument.
DECISION, NOTE = "_decision", "_note"
# An argument of such a name is shown, and cannot be edited.
OWN_FIELDS = frozenset((DECISION, NOTE))


@dataclass(frozen=True, slots=True)
class ToolCallResponse(Response):
    """A person's decision about a tool call; `value` is `approve`, `reject` or `answer`.

    `arguments` are those to call the tool with, as the person left them; `changed` names those
    that they edited, and `digest` is the SHA-256 of all of them (see `digest_of`). `note` is the
    reason of a rejection, or stands in for the tool's result.
    """

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
    # Nearly all are, and it is not told of those.
    approvable: bool = Field(default=True, exclude_if=bool)
    default: Literal["approve", "reject"] | None = None

    template = "chat_app/cards/form.html"
    takes = gettext_noop("a decision about a tool call")
    response = ToolCallResponse
    alike = False

    @model_validator(mode="before")
    @classmethod
    def _show_arguments(cls, fields: object) -> object:
        """Show arguments that have no fields of their own among the details."""
        if not isinstance(fields, dict):
            return fields
        has_fields = fields.get("editable")
        shown = {
            name: value
            for name, value in fields.get("arguments", {}).items()
            if not has_fields or name in OWN_FIELDS
        }
        return {**fields, "details": {**shown, **fields.get("details", {})}} if shown else fields

    @field_validator("input_schema")
    @classmethod
    def _check_schema(cls, schema: JsonObject) -> JsonObject:
        if problem := check_schema(to_json(schema))[1]:
            raise ValueError(f"input_schema is not a JSON schema: {problem}")
        return schema

    def check(self, value: Given | None, values: Sequence[Given] | None) -> JsonObject:
        answer = self._answer(single(value, values))
        if _is_of_a_program(answer):
            decision, note = answer["decision"], answer.get("note") or ""
            edited = answer.get("arguments", self.arguments)
        else:
            form = self.make(_form_data(answer))
            if not form.is_valid():
                raise refusal_error(form)
            decision, note, edited = form.decision, form.note, form.arguments
        return self._checked(decision, note, edited)

    def _answer(self, value: Given | None) -> JsonObject:
        """Return an answer as an object: of a program, or the form of a page."""
        if value in (APPROVE, REJECT):
            return {"decision": value}
        try:
            answer = from_json(value) if isinstance(value, str) else value
        except ValueError:
            answer = None
        known_names = {"decision", "arguments", "note"}
        if not isinstance(answer, dict) or (
            _is_of_a_program(answer) and not set(answer) <= known_names
        ):
            raise Invalid(
                _(
                    "This asks about a tool call: send approve, reject, or JSON with a decision "
                    "(approve, reject or answer), and with arguments and a note if need be."
                )
            )
        return answer

    def _checked(self, decision: object, note: object, edited: object) -> JsonObject:
        """Return the decision as it is stored; only an approved call has edited arguments."""
        if problems := self.problems(decision, note, edited):
            raise Invalid(" ".join(map(str, problems.values())), errors=_as_lists(problems))
        arguments: Any = edited if decision == APPROVE else self.arguments
        check_storable_values([arguments, note])
        names = {**self.arguments, **arguments}
        changed = [one for one in names if _differs(one, self.arguments, arguments)]
        digest = digest_of(arguments)
        return {
            "value": decision,
            "note": note,
            "arguments": arguments,
            "changed": changed,
            "digest": digest,
        }

    def problems(
        self, decision: object, note: object, arguments: object
    ) -> dict[str, "str | Promise"]:
        """Return what is wrong with a decision, by the field of the form; empty for nothing."""
        if decision not in self.decisions:
            return {"": _("Choose one of the decisions that the buttons name.")}
        if not isinstance(note, str) or len(note) > MAX_NOTE:
            return {NOTE: _("The note must be a text of at most 10,000 characters.")}
        if decision == ANSWER and not note.strip():
            return {NOTE: _("Write the result into the note.")}
        if decision != APPROVE or arguments == self.arguments:
            return {}
        if not self.editable:
            return {"": _("The arguments of this call cannot be edited.")}
        return argument_problems(self.input_schema, arguments)

    def respond(self, stored: JsonObject, **who: Any) -> ToolCallResponse:
        decision, changed = stored["value"], tuple(stored["changed"])
        contents = {name: stored[name] for name in ("arguments", "note", "digest")}
        return ToolCallResponse(decision, changed=changed, **contents, **who)

    @property
    def kind(self) -> str:
        """The type and the tool: the approval of one tool is not that of another."""
        return f"{self.input_type} {self.tool}"

    @property
    def has_own_card(self) -> bool:
        return True

    @property
    def proposal(self) -> bool:
        """True if arguments can be edited: what is changed in them is marked."""
        return self.editable

    @property
    def decisions(self) -> list[str]:
        """The decisions that it takes."""
        offered = {APPROVE: self.approvable, REJECT: True, ANSWER: self.answerable}
        return [decision for decision, is_offered in offered.items() if is_offered]

    @property
    def buttons(self) -> list[FormButton]:
        labels = {
            APPROVE: gettext("Approve"),
            REJECT: gettext("Reject"),
            ANSWER: gettext("Use the note as the result"),
        }
        return [
            FormButton(labels[one], f"{PREFIX}-{DECISION}", one, is_primary=one == APPROVE)
            for one in self.decisions
        ]

    @property
    def proposed(self) -> dict[str, str]:
        return {one.name: _shown(one, self.arguments) for one in self._fields()}

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

    def read(self, value: Given | None) -> dict[str, list[str]]:
        """Return the form data of an answer that a page has sent.

        Raises:
            Invalid: it is none.
        """
        return _form_data(self._answer(value))

    def texts(self, stored: JsonObject) -> list[FieldText]:
        """Return the arguments that could be edited, and the note if there is one."""
        before, after = self.arguments, stored["arguments"]
        shown = [
            FieldText(
                one.label, _shown(one, before), _shown(one, after), one.name in stored["changed"]
            )
            for one in self._fields()
        ]
        if stored["note"]:
            shown.append(FieldText(gettext("Note"), "", stored["note"], is_changed=False))
        return shown

    def answer_text(self, stored: JsonObject) -> str:
        """Return the decision, the note, and what was edited."""
        words = {
            APPROVE: gettext("Approved"),
            REJECT: gettext("Rejected"),
            ANSWER: gettext("Answered in place of the tool"),
        }
        edits = [
            f"{one.label}: {one.before} → {one.after}"
            for one in self.texts(stored)
            if one.is_changed
        ]
        return "; ".join(filter(None, [words[stored["value"]], stored["note"], *edits]))

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return the choice to approve or to reject, with a link to the page that offers more."""
        arguments = content["arguments"] if content["editable"] else {}
        lines = [f"- {name}: {as_text(value)}" for name, value in arguments.items()]
        labels = {APPROVE: "Approve"} if content.get("approvable", True) else {}
        options = [
            {"id": value, "label": label, "value": value}
            for value, label in {**labels, REJECT: "Reject"}.items()
        ]
        text = "\n".join([with_details(content), "", *lines, f"Give reasons here: {link()}"])
        return [{**in_common(content), "input_type": "radio", "text": text, "options": options}]

    def _form_class(self) -> "type[ToolCallForm]":
        """Build the form's class: a field for each argument, also for those the schema lacks.

        An argument that does not fit its schema is written as JSON, so that it stays what it is.
        """
        if not self.editable:
            return ToolCallForm
        fields = schema_fields(self.input_schema)
        for name in OWN_FIELDS:
            fields.pop(name, None)
        unfit = argument_problems(self.input_schema, self.arguments)
        as_json = [
            name
            for name, value in self.arguments.items()
            if name not in OWN_FIELDS
            and (name in unfit or name not in fields or not _is_kept(fields[name], value))
        ]
        fields |= schema_fields({"properties": {name: {} for name in as_json}})
        return type("Arguments", (ToolCallForm,), fields)

    def _fields(self) -> list[FormField]:
        return [one for one in describe_fields(self._form_class()) if one.name != NOTE]


class ToolCallForm(forms.Form):
    """The form of a tool call's card. Cleaned, it has `decision`, `note` and `arguments`."""

    _note = forms.CharField(
        label=_("Note"), required=False, widget=forms.Textarea(attrs={"rows": 2}), strip=False
    )

    def __init__(self, data: Any = None, *, prompt: ToolCallPrompt, **options: Any) -> None:
        names = prompt.arguments.keys() - OWN_FIELDS if prompt.editable else ()
        proposed = initial_values(type(self), {name: prompt.arguments[name] for name in names})
        super().__init__(data, initial=proposed, **options)
        self.order_fields([*(name for name in self.fields if name != NOTE), NOTE])
        self._prompt = prompt
        self.decision = self.note = ""
        self.arguments = prompt.arguments
        required = prompt.input_schema.get("required")
        self._required = required if isinstance(required, list) else []
        for name, field in self.fields.items():
            is_empty = prompt.arguments.get(name) in EMPTY_VALUES
            field.required = field.required and name in self._required and not is_empty
        use_native(self)

    def full_clean(self) -> None:
        """Check the decision, and the arguments only where the call is approved."""
        super().full_clean()
        if not self.is_bound:
            return
        self.decision = self.data.get(self.add_prefix(DECISION), APPROVE)
        self.note = self.cleaned_data.get(NOTE, "")
        if self.decision != APPROVE:
            self.errors.clear()
        elif not self.errors:
            self.arguments = self._edited_arguments()
        if not self.errors:
            for name, problem in self._prompt.problems(
                self.decision, self.note, self.arguments
            ).items():
                self.add_error(name if name in self.fields else None, str(problem))

    def _edited_arguments(self) -> JsonObject:
        """Return the arguments; one that was not changed is what the agent wrote, to the letter."""
        arguments = dict(self._prompt.arguments)
        for name in self.changed_data:
            value = to_jsonable_python(self.cleaned_data[name])
            if value in EMPTY_VALUES and name not in self._required:
                arguments.pop(name, None)
            elif name != NOTE:
                arguments[name] = value
        return arguments


def _is_kept(field: forms.Field, value: Any) -> bool:
    """Return whether a form field shows a value and gives back the same; lines are stripped."""
    if value in EMPTY_VALUES:
        return True
    try:
        again = to_jsonable_python(field.clean(field.prepare_value(value)))
    except forms.ValidationError:
        return False
    return bool(again == value) and "\r" not in str(value)


def digest_of(arguments: JsonObject) -> str:
    """Return the SHA-256 of the arguments in hexadecimal: of their JSON with sorted names."""
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _differs(name: str, before: JsonObject, after: JsonObject) -> bool:
    return (name in before, before.get(name)) != (name in after, after.get(name))


def _is_of_a_program(answer: JsonObject) -> bool:
    """Return whether it is no form of a page, whose argument may be named `decision`, too."""
    return "decision" in answer and not OWN_FIELDS & set(answer)


def _shown(field: FormField, arguments: JsonObject) -> str:
    return value_text(field, arguments.get(field.name))


def _form_data(answer: JsonObject) -> dict[str, list[str]]:
    return {name: texts(one) for name, one in answer.items() if one is not None}


def _as_lists(problems: Mapping[str, object]) -> dict[str, list[object]]:
    return {name: [problem] for name, problem in problems.items()}
