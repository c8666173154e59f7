"""The declared types of what `interrupt()` returns: the prompts for them, and the answers."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from sessions_app.contrib.agents.tools import as_json
from sessions_app.errors import Unrecorded
from sessions_app.json_types import JsonObject
from sessions_app.prompts import acheck_schema
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    DropdownPrompt,
    FormPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
)

# The type of what interrupt() returns, for all nodes or by the name of a node: `bool`, `str`,
# `Literal["a", "b"]`, an enum, a model, a TypedDict, or another type that pydantic knows.
AnswerTypes = Any
# JSON schemas of answers by the name of a node.
AnswerSchemas = Mapping[str, JsonObject]
ANY_NODE = ""
MAX_BUTTONS = 5  # maximum number of choices that are shown as buttons; more are a list
ANSWER = "answer"  # name of the only field of a form for a value that is no object
YES_OR_NO = [Option(value=True, label="Yes"), Option(value=False, label="No")]


class AnswerUndeclared(Unrecorded):
    """A graph called interrupt(), and nothing declares the type of what it returns."""

    def __init__(
        self, node: str, problem: str = "nothing declares what interrupt() returns"
    ) -> None:
        super().__init__(
            f"The node {node!r} of the graph asks, and {problem}. Nobody was asked, because a text "
            "would count as a yes even if it says no. Declare the type: "
            "interrupt(…, response_schema=bool) in the graph, or answers=bool, or "
            f"answers={{{node!r}: bool}}, where the graph is hosted. Then resume the run."
        )


def answer_schemas(answers: AnswerTypes, nodes: Mapping[str, object]) -> AnswerSchemas:
    """Return the JSON schemas of declared types, by the name of a node; see `AnswerTypes`.

    Raises:
        ImproperlyConfigured: a type has no JSON schema, or the graph has no such node.
    """
    if answers is None:
        return {}
    if not isinstance(answers, Mapping):
        return {ANY_NODE: _schema_of(answers)}
    if unknown := answers.keys() - nodes.keys():
        raise ImproperlyConfigured(
            f"answers= names {min(unknown)!r}, which is not a node of the graph. Its nodes are: "
            f"{', '.join(nodes)}."
        )
    return {node: _schema_of(one) for node, one in answers.items()}


def _schema_of(answer_type: Any) -> JsonObject:
    try:
        schema: JsonObject = TypeAdapter(answer_type).json_schema()
    except PydanticUserError as error:
        raise ImproperlyConfigured(
            f"answers= takes types that have a JSON schema, not {answer_type!r}: {error}"
        ) from error
    return schema


async def ask_declared(context: Context, text: str, schema: JsonObject, node: str) -> Any:
    """Ask the owner of the conversation for a value by a JSON schema, and return the value.

    Raises:
        AnswerUndeclared: the schema cannot be used.
    """
    if "$ref" in schema:
        definition = schema.get("$defs", {}).get(str(schema["$ref"]).rpartition("/")[2], {})
        schema = {**definition, **{key: one for key, one in schema.items() if key != "$ref"}}
    if schema.get("type") == "boolean":
        return (await context.ask(BinaryPrompt(text=text, options=YES_OR_NO))).value
    if options := _options(schema):
        choice = RadioPrompt if len(options) <= MAX_BUTTONS else DropdownPrompt
        return (await context.ask(choice(text=text, options=options))).value
    if schema.keys() <= {"type", "title", "description"} and schema.get("type") == "string":
        return (await context.ask(TextPrompt(text=text))).text
    has_fields = schema.get("type") == "object" and schema.get("properties")
    return await _ask_form(context, text, schema if has_fields else _in_one_field(schema), node)


def _options(schema: JsonObject) -> list[Option]:
    """Return an option for each listed value; empty if there are none, or some cannot be shown."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    try:
        options = [Option.model_validate({"value": value}) for value in values]
        RadioPrompt(text="?", options=options)
    except ValidationError:
        return []
    return options


def _in_one_field(schema: JsonObject) -> JsonObject:
    """Return the schema of an object whose only field has a value by this schema."""
    field = {key: one for key, one in schema.items() if key != "$defs"}
    wrapped: JsonObject = {"type": "object", "properties": {ANSWER: field}, "required": [ANSWER]}
    return {**wrapped, "$defs": schema["$defs"]} if "$defs" in schema else wrapped


async def _ask_form(context: Context, text: str, schema: JsonObject, node: str) -> Any:
    if problem := await acheck_schema(schema):
        raise AnswerUndeclared(node, f"the declared schema of its answer is unusable: {problem}")
    answer = await context.ask(FormPrompt(schema, text=text))
    values: JsonObject = as_json(to_jsonable_python(answer.value))
    return values[ANSWER] if schema["properties"].keys() == {ANSWER} else values
