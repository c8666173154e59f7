"""The prompt answered by a form."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, cast, overload

from django.db import DatabaseError
from django.forms import BaseForm
from django.utils.datastructures import MultiValueDict
from django.utils.text import format_lazy
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import BaseModel, Field, JsonValue, ValidationError

from sessions_app.errors import FormChanged, Invalid
from sessions_app.json_types import JsonObject, load_json
from sessions_app.logs import Log
from sessions_app.prompts.base import (
    APPROVE,
    REJECT,
    Answer,
    Content,
    FieldText,
    Files,
    FormButton,
    PageAnswer,
    Prompt,
    Response,
    is_none,
    with_details,
)
from sessions_app.prompts.forms.data import (
    PREFIX,
    Upload,
    as_posted,
    as_shown,
    check_posted,
    check_sent,
    check_storable_values,
    pack,
    refusal_error,
    sent_names,
    texts,
    unpack,
)
from sessions_app.prompts.forms.fields import (
    FormField,
    describe_fields,
    initial_values,
    read_json_strictly,
    use_native,
    value_text,
)
from sessions_app.prompts.forms.models import form_class, schema_form_class
from sessions_app.prompts.forms.schema_checks import check_schema
from sessions_app.prompts.hidden_characters import mark
from sessions_app.prompts.texts import plain_choice, plain_text

log = Log(__name__)

T = TypeVar("T", covariant=True)
M = TypeVar("M", bound=BaseModel)

AnyForm = type[BaseForm] | type[BaseModel]


@dataclass(frozen=True, slots=True)
class FormResponse(Response, Generic[T]):
    """The answer to a form prompt.

    `value` is a dict of the form's cleaned data, or the pydantic model; None for a rejection.
    `before` and `after` have the proposed and the given Python values by field. `changed` names
    the fields that differ.
    """

    value: T
    before: JsonObject
    after: JsonObject
    changed: tuple[str, ...]
    approved: bool


class FormPrompt(Prompt[FormResponse[T]], Generic[T]):
    """A prompt for the fields of a Django form, of a pydantic model, or of a JSON schema.

    The workflow gets typed values; with a JSON schema, it gets JSON that is valid by the schema.

    With `proposal`, the initial values are a proposal: changed fields are marked, and the button
    with the label `submit` means approval. `reject` labels a second button, which sends no values.
    """

    input_type: Literal["form"] = "form"
    # Import path of the form or model class, which web processes import, too; "" for a JSON schema.
    form: str
    json_schema: dict[str, JsonValue] | None = Field(default=None, exclude_if=is_none)
    is_model: bool = False
    fields: list[FormField] = Field(min_length=1)
    # Initial values as JSON, and the names of their types, as `pack` returns them.
    initial: dict[str, JsonValue] = Field(default_factory=dict)
    types: dict[str, str] = Field(default_factory=dict)
    proposal: bool = False
    submit: str = Field(default="", max_length=100)
    reject: str = Field(default="", max_length=100)

    takes = pgettext_lazy("hitl", "the fields of a form")
    alike = False

    @overload
    def __init__(
        self: "FormPrompt[M]",
        form: type[M],
        *,
        initial: "M | Mapping[str, object] | None" = None,
        **options: object,
    ) -> None: ...
    @overload
    def __init__(
        self: "FormPrompt[JsonObject]",
        form: type[BaseForm] | Mapping[str, object],
        *,
        initial: Mapping[str, object] | None = None,
        **options: object,
    ) -> None: ...
    @overload
    def __init__(self, form: str, **options: object) -> None: ...
    def __init__(self, form: Any, **options: Any) -> None:
        """Make a prompt for the fields of a form, of a model, or of a JSON schema.

        Raises:
            TypeError: the argument is not a form, a field cannot be answered here, or an initial
                value has no JSON form.
            ValueError: the class is not found by name, or lacks a field with an initial value; or
                the schema cannot be used.
        """
        description = (
            {"form": form}
            if isinstance(form, str)
            else _describe_form(form, options.get("initial"))
        )
        super().__init__(**{**options, **description})

    def check(self, answer: Answer) -> JsonObject:
        try:
            return super().check(answer)
        except (Invalid, DatabaseError):
            raise
        except Exception as error:  # any error: the author's form class has a bug
            log.exception("form.failed", form=self.form)
            raise Invalid(
                pgettext_lazy(
                    "hitl", "This form does not work at the moment. An administrator can see why."
                )
            ) from error

    def from_text(self, text: str) -> JsonObject:
        """Check a plain client's text: `approve`, `reject`, or all fields as JSON."""
        if text in (APPROVE, REJECT):
            return self._press(text)
        try:
            fields = load_json(text)
        except ValueError:
            raise self._refusal() from None
        return self.from_json(fields if isinstance(fields, dict) else None)

    def from_json(self, value: JsonValue) -> JsonObject:
        """Check an object of fields: null empties a field, and boxes take true or false.

        An answer to a proposal must have all fields, and to a form with `reject` at least one:
        anything less is no approval.
        """
        match value:
            case str(text) | [str(text)]:
                return self.from_text(text)
        form = self.make()
        names = {name for bound_field in form for name in sent_names(bound_field)}
        needed = names if self.proposal else set()
        if not isinstance(value, dict) or not needed <= value.keys() <= names:
            raise self._refusal(names)
        if self.reject and not value:
            raise self._refusal(names)
        kinds = {field.name: field.type for field in self.fields}
        check_sent(form, value, kinds)
        data = {
            name: texts(field_value, kinds.get(name, ""))
            for name, field_value in value.items()
            if field_value is not None
        }
        return self._settle(self.make(data))

    def from_page(self, page: PageAnswer) -> JsonObject:
        """Check a page's answer: the pressed button, and unless it rejects, the fields."""
        if page.value == REJECT and self.reject:
            return self._press(REJECT)
        if page.value != APPROVE:
            raise Invalid(pgettext_lazy("hitl", "Choose one of the answers that the card offers."))
        files = {name: attachment.file for name, attachment in page.files.items()}
        form = self.make(page.fields, files)
        check_posted(form)
        return self._settle(form)

    def _press(self, button: str) -> JsonObject:
        """Return the stored answer for a decision: the unchanged proposal approved, or rejected."""
        if button == REJECT and self.reject:
            return {"value": None, "rejected": True}
        if button == APPROVE and self.proposal:
            return self._settle(self.make(as_shown(self.make())))
        raise self._refusal()

    def _settle(self, form: BaseForm) -> JsonObject:
        try:
            if not form.is_valid():
                raise refusal_error(form)
            json_values, types = pack(form.cleaned_data)
            if self.proposal:
                json_values |= self._kept(form, types)
        finally:
            for file in form.files.values():
                if isinstance(file, Upload):
                    file.close_if_open()
        check_storable_values(json_values)
        return {"value": json_values, "types": types, "changed": form.changed_data}

    def _kept(self, form: BaseForm, types: Mapping[str, str]) -> JsonObject:
        """Return the proposed values of unchanged fields, exactly as they were stored."""
        return {
            name: value
            for name, value in self.initial.items()
            if name not in form.changed_data and types.get(name) == self.types.get(name)
        }

    def respond(self, stored: JsonObject, **attribution: Any) -> FormResponse[T]:
        initial = unpack(self.initial, self.types)
        before = {field.name: initial.get(field.name) for field in self.fields}
        approved = not stored.get("rejected")
        after = unpack(stored["value"], stored["types"]) if approved else {}
        return FormResponse(
            cast("T", self._typed_value(after) if approved else None),
            before=before,
            after=after,
            changed=tuple(stored.get("changed", ())),
            approved=approved,
            **attribution,
        )

    @property
    def takes_files(self) -> bool:
        return any(field.type == "file" for field in self.fields)

    def check_found(self) -> None:
        """Check that the class of the form can be imported."""
        self._form_class()

    def texts(self, stored: JsonObject) -> list[FieldText]:
        """Return the answer field by field; empty for a rejection."""
        if stored.get("rejected"):
            return []
        before, after = self.initial, stored["value"]
        return [
            FieldText(
                field.label,
                value_text(field, before.get(field.name)),
                value_text(field, after.get(field.name)),
                self.proposal and field.name in stored["changed"],
                (after.get(field.name) or {}).get("id", "") if field.type == "file" else "",
            )
            for field in self.fields
        ]

    @property
    def has_own_card(self) -> bool:
        return bool(self.reject) or super().has_own_card

    @property
    def buttons(self) -> list[FormButton]:
        label = self.submit or (
            pgettext("hitl", "Approve") if self.proposal else pgettext("hitl", "Answer")
        )
        submit = FormButton(label, "value", APPROVE, is_primary=True)
        if not self.reject:
            return [submit]
        return [submit, FormButton(self.reject, "value", REJECT)]

    @property
    def proposed(self) -> dict[str, str]:
        fields = self.fields if self.proposal else ()
        return {field.name: value_text(field, self.initial.get(field.name)) for field in fields}

    def decision(self, stored: JsonObject) -> str:
        if stored.get("rejected"):
            return REJECT
        return APPROVE if self.proposal else ""

    def answer_text(self, stored: JsonObject) -> str:
        """Return the changes of a proposal, else all given values."""
        if stored.get("rejected"):
            return self.reject or pgettext("hitl", "Rejected")
        texts = self.texts(stored)
        if not self.proposal:
            return "; ".join(f"{one.label}: {one.after}" for one in texts)
        changes = [one.change for one in texts if one.is_changed]
        return "; ".join([self.submit or pgettext("hitl", "Approved"), *changes])

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        """Return a choice to approve the proposal, or a text with a link to the form's page."""
        text, page = with_details(content), link()
        if not content["proposal"]:
            instruction = f"{text}\n\nFill in the form here: {page}"
            return [plain_text(content, instruction, placeholder="", required=True)]
        fields = [FormField.model_validate(field) for field in content["fields"]]
        values = [
            f"- {field.label}: {value_text(field, content['initial'].get(field.name))}"
            for field in fields
        ]
        text = "\n".join([*map(mark, [text, "", *values]), "", f"Change it here: {page}"])
        labels = {APPROVE: content["submit"] or "Approve"}
        if content["reject"]:
            labels[REJECT] = content["reject"]
        return [plain_choice(content, text, labels)]

    def make(
        self,
        data: Mapping[str, list[str]] | None = None,
        files: Files = MappingProxyType({}),
        **options: Any,
    ) -> BaseForm:
        """Build the form, bound to data if given. Blocks: a form may read the database.

        Raises:
            FormChanged: the form's class is gone.
        """
        prefix = options.setdefault("prefix", PREFIX)
        if data is not None:
            uploads = {f"{prefix}-{name}": [Upload(file)] for name, file in files.items()}
            options |= {"data": as_posted(data, prefix), "files": MultiValueDict(uploads)}
        initial = unpack(self.initial, self.types)
        form = self._form_class()(initial=initial, **options)
        use_native(form)
        read_json_strictly(form)
        return form

    def _refusal(self, names: Collection[str] = ()) -> Invalid:
        shown = sorted(names) or [field.name for field in self.fields]
        text = pgettext_lazy(
            "hitl", "This is a form: answer it on the page, or send JSON with {names}."
        )
        return Invalid(format_lazy(text, names=", ".join(shown)), fields=shown)

    def _form_class(self) -> type[BaseForm]:
        if self.json_schema is not None:
            return schema_form_class(self.json_schema)
        return form_class(find(self.form))

    def _typed_value(self, values: JsonObject) -> Any:
        if not self.is_model:
            return values
        try:
            return cast("type[BaseModel]", find(self.form)).model_validate(values)
        except ValidationError as error:
            raise FormChanged(
                self.form, f"it does not take the answer any more: {error}"
            ) from error


def path_of(form: object) -> str:
    """Return the import path of a form or model class.

    Raises:
        TypeError: the argument is not the class of a form.
        ValueError: the path does not lead to the class.
    """
    if not (isinstance(form, type) and issubclass(form, BaseForm | BaseModel)):
        raise TypeError(f"a FormPrompt takes the class of a form or a pydantic model, not {form!r}")
    path = f"{form.__module__}:{form.__qualname__}"
    if "<locals>" in path or find(path) is not form:
        raise ValueError(f"{path} does not lead to the form: define it at the top of its module")
    return path


def find(path: str) -> AnyForm:
    """Import the class of a form by path.

    Raises:
        FormChanged: there is no form at the path.
    """
    module, _, name = path.partition(":")
    try:
        form = attrgetter(name)(import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise FormChanged(path, f"{error}") from error
    if not (isinstance(form, type) and issubclass(form, BaseForm | BaseModel)):
        raise FormChanged(path, "it is not a form")
    return form


def _describe_form(form: AnyForm | JsonObject, initial: Any) -> JsonObject:
    if isinstance(form, dict):
        if problem := check_schema(form):
            raise ValueError(problem)
        stored_form: JsonObject = {"form": "", "json_schema": form}
        class_: type[BaseForm] = schema_form_class(form)
    else:
        stored_form = {"form": path_of(form), "is_model": issubclass(form, BaseModel)}
        class_ = form_class(form)
    fields = describe_fields(class_)
    if isinstance(initial, BaseModel):
        initial = initial.model_dump()
    values, types = pack(initial_values(class_, initial or {}))
    return {**stored_form, "fields": fields, "initial": values, "types": types}
