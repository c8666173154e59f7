"""The prompt that is answered by a form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, cast, overload

import structlog
from django.db import DatabaseError
from django.forms import BaseForm
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, Field, JsonValue, ValidationError
from pydantic_core import from_json

from sessions_app.errors import FormChanged, Invalid
from sessions_app.prompts.base import Given, Prompt, Response
from sessions_app.prompts.forms.classes import AnyForm, find, path_of
from sessions_app.prompts.forms.data import PREFIX, as_posted, as_shown, refused, texts
from sessions_app.prompts.forms.fields import FormField, described, initial_values, use_native
from sessions_app.prompts.forms.models import form_class
from sessions_app.prompts.forms.texts import FieldText, field_texts
from sessions_app.prompts.forms.uploads import Files, Upload, uploads
from sessions_app.prompts.forms.values import pack, unpack
from sessions_app.storage.storable import storable

log = structlog.get_logger(__name__)

T = TypeVar("T", covariant=True)
M = TypeVar("M", bound=BaseModel)

# Answers that are no data: as it is proposed, and not at all.
APPROVE, REJECT = "approve", "reject"


@dataclass(frozen=True, slots=True)
class FormResponse(Response, Generic[T]):
    """`value` is a dict of the form's cleaned data, or the pydantic model; None where it was
    rejected.

    `before` and `after` have the values by field, as Python values: those that were proposed, and
    those that the person gave. `changed` names the fields in which they differ.
    """

    value: T
    before: dict[str, Any]
    after: dict[str, Any]
    changed: tuple[str, ...]
    approved: bool


class FormPrompt(Prompt[FormResponse[T]], Generic[T]):
    """Asks for the fields of a Django form, or of a pydantic model; the answer is typed.

    With `proposal` its initial values are proposed: what the person changes is marked, and the
    button says that they approve. `reject` is the label of a second button, which takes no values.
    `submit` is that of the first.
    """

    input_type: Literal["form"] = "form"
    # Where the class is found: by the process that shows it, too.
    form: str
    is_model: bool = False
    fields: list[FormField] = Field(min_length=1)
    # As JSON, and of which types: see `values`.
    initial: dict[str, JsonValue] = Field(default_factory=dict)
    types: dict[str, str] = Field(default_factory=dict)
    proposal: bool = False
    submit: str = Field(default="", max_length=100)
    reject: str = Field(default="", max_length=100)

    @overload
    def __init__(
        self: "FormPrompt[M]",
        form: type[M],
        *,
        initial: "M | Mapping[str, Any] | None" = None,
        **given: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: "FormPrompt[dict[str, Any]]",
        form: type[BaseForm],
        *,
        initial: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> None: ...
    @overload
    def __init__(self, form: str, **given: Any) -> None: ...
    def __init__(self, form: Any, **given: Any) -> None:
        """Raises:
        TypeError: it is no form, a field of it cannot be answered here, or an initial value has no
            JSON form.
        ValueError: the class is not found by its name, or has no field of an initial value.
        """
        stored = {"form": form} if isinstance(form, str) else _described(form, given.get("initial"))
        super().__init__(**{**given, **stored})

    def check(
        self,
        value: Given | None,
        values: Sequence[Given] | None,
        files: Files = MappingProxyType({}),
    ) -> dict[str, Any]:
        if value == REJECT and self.reject:
            return {"value": None, "rejected": True}
        form = self._calling("checked", partial(self._cleaned, value, values, files))
        try:
            cleaned, types = pack(form.cleaned_data)
        except TypeError as error:
            raise self._broken("stored", error) from error
        if storable(cleaned) != cleaned:
            raise Invalid(_("A value holds a NUL, or half of a character, which is not stored."))
        return {"value": cleaned, "types": types, "changed": form.changed_data}

    def respond(self, stored: dict[str, Any], **who: Any) -> FormResponse[T]:
        proposed = unpack(self.initial, self.types)
        before = {field.name: proposed.get(field.name) for field in self.fields}
        if stored.get("rejected"):
            nothing = cast("T", None)
            return FormResponse(nothing, before=before, after={}, changed=(), approved=False, **who)
        after = unpack(stored["value"], stored["types"])
        return FormResponse(
            cast("T", self._typed(after)),
            before=before,
            after=after,
            changed=tuple(stored["changed"]),
            approved=True,
            **who,
        )

    @property
    def takes_files(self) -> bool:
        """Whether a field of it is for a file."""
        return any(field.type == "file" for field in self.fields)

    def check_found(self) -> None:
        """Raise FormChanged if nobody can answer it, as its class is not there."""
        find(self.form)

    def texts(self, stored: dict[str, Any]) -> list[FieldText]:
        """What `check` returned, as people read it; nothing of what was rejected."""
        if stored.get("rejected"):
            return []
        return field_texts(self.fields, self.initial, stored)

    def make(
        self,
        data: Mapping[str, list[str]] | None = None,
        files: Files = MappingProxyType({}),
        **options: Any,
    ) -> BaseForm:
        """The form as it is shown, with the data and files of an answer if there is one. Blocks: a
        form may read the database.

        Raises:
            FormChanged: its class is not there.
        """
        options.setdefault("prefix", PREFIX)
        initial = unpack(self.initial, self.types)
        given = None if data is None else as_posted(data, options["prefix"])
        kept = None if data is None else uploads(files, options["prefix"])
        form = form_class(find(self.form))(data=given, files=kept, initial=initial, **options)
        use_native(form)
        return form

    def read(self, value: Given | None) -> dict[str, list[str]]:
        """The data of an answer, which is a JSON object of the fields.

        Raises:
            Invalid: it is none.
        """
        if value == APPROVE and self.proposal:
            return as_shown(self.make())
        try:
            data = from_json(value) if isinstance(value, str) else value
            if not isinstance(data, dict):
                raise ValueError  # noqa: TRY301, TRY004 - one reason for all
            kinds = {field.name: field.type for field in self.fields}
            return {
                name: texts(one, kinds.get(name, ""))
                for name, one in data.items()
                if one is not None
            }
        except ValueError:
            names = [field.name for field in self.fields]
            raise Invalid(
                format_lazy(
                    _("This is a form: answer it on the page, or send JSON with {names}."),
                    names=", ".join(names),
                ),
                fields=names,
            ) from None

    def _cleaned(
        self, value: Given | None, values: Sequence[Given] | None, files: Files
    ) -> BaseForm:
        form = self.make(self.read(value if values is None else None), files)
        try:
            if not form.is_valid():
                raise refused(form)
        finally:
            for file in form.files.values():
                if isinstance(file, Upload):
                    file.let_go()
        return form

    def _calling(self, what: str, call: Any) -> Any:
        """What the author's form raises is no fault of the person's, and not the server's end."""
        try:
            return call()
        except (Invalid, DatabaseError):
            raise
        except Exception as error:
            raise self._broken(what, error) from error

    def _broken(self, what: str, error: Exception) -> Invalid:
        log.error("form.failed", form=self.form, what=what, exc_info=error)
        return Invalid(
            _("This form does not work at the moment. Those who run this site can see why.")
        )

    def _typed(self, values: dict[str, Any]) -> Any:
        if not self.is_model:
            return values
        try:
            return cast("type[BaseModel]", find(self.form)).model_validate(values)
        except ValidationError as error:
            raise FormChanged(
                self.form, f"it does not take the answer any more: {error}"
            ) from error


def _described(form: AnyForm, initial: Any) -> dict[str, Any]:
    """What is stored of a form, by its class."""
    path, class_ = path_of(form), form_class(form)
    fields = described(class_)
    if isinstance(initial, BaseModel):
        initial = initial.model_dump()
    values, types = pack(initial_values(class_, initial or {}))
    return {
        "form": path,
        "is_model": issubclass(form, BaseModel),
        "fields": fields,
        "initial": values,
        "types": types,
    }
