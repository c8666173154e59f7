"""The tools of an agent: functions that a model may call, and the approval of calls."""

import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import from_json, to_json, to_jsonable_python

from sessions_app.contrib.agents.language_model import ToolCall
from sessions_app.json_types import JsonObject, is_same_json
from sessions_app.logs import Log
from sessions_app.models.people import Person
from sessions_app.prompts import MAX_TEXT, aargument_problems
from sessions_app.prompts.assignment import Assignee, Escalation, To, assignees
from sessions_app.storage.storable import storable
from sessions_app.workflows import Context

log = Log(__name__)

# The approvers of a call: True is the owner of the conversation, False nobody. A rule (a
# function) gets the validated arguments and the owner. A replay and an edit call the rule again, so
# it must depend on nothing else. Coroutine functions are not allowed.
Approval: TypeAlias = To | bool | Callable[[JsonObject, Person], To | bool]
# A function that validates arguments. It returns them as JSON for the rule, people and the tool,
# and a problem or "".
Validate: TypeAlias = Callable[[JsonObject], Awaitable[tuple[JsonObject, str]]]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The data that a tool gets beside its arguments, by a parameter with this annotation.

    `call_id` is the same in each repetition of this call: a key for systems that recognise repeated
    requests. `builder` and `options` are the workflow's.
    """

    user: Person
    conversation_id: str
    run_id: str
    call_id: str
    builder: Any = field(repr=False)
    options: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rule for the approval of a tool's calls by people.

    Args:
        approval: the approvers of a call; see `Approval`.
        edit: approvers may edit the arguments.
        answer: approvers may write a result in the tool's place.
        timeout: seconds after which a call counts as rejected; None waits for ever.
        four_eyes, share, due, remind, escalate: as for `Context.ask`.
    """

    approval: Approval = True
    edit: bool = False
    answer: bool = False
    timeout: float | None = None
    four_eyes: bool = False
    share: bool = False
    due: float | None = None
    remind: float | Sequence[float] = ()
    escalate: Escalation | Sequence[Escalation] = ()

    def approvers(self, arguments: JsonObject, owner: Person) -> list[Assignee] | bool:
        """Return the approvers of a call with these arguments: True is the owner, False nobody.

        Only a rule that returns False skips the question. A rule that raises, or returns neither a
        bool nor people (None, an empty list, a coroutine), counts as True.
        """
        if not callable(self.approval):
            return self.approval if isinstance(self.approval, bool) else assignees(self.approval)
        named: Any = None
        try:
            named = self.approval(deepcopy(arguments), owner)
            return named if isinstance(named, bool) else assignees(named)
        except Exception as error:
            if inspect.iscoroutine(named):
                named.close()
            log.warning("policy.rule_failed", exc_info=error)
            return True

    def assignment(self, approvers: To | bool) -> JsonObject:
        """Return the arguments of `Context.ask` for these approvers."""
        if isinstance(approvers, bool):
            return {}
        names = ("four_eyes", "share", "due", "remind", "escalate")
        return {"to": approvers, **{name: getattr(self, name) for name in names}}


HIDDEN = "{}: its JSON does not say all of it"

ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)

# Keywords that strict model servers refuse at the top of a tool's schema.
ALTERNATIVES = {"$ref", "allOf", "anyOf", "oneOf", "enum", "const", "not"}

# Stands for an argument that the model has left out.
MISSING: Any = object()

# Beginning of a message to the model that the arguments of a call are invalid.
UNFIT = "The arguments do not fit: "

# A single policy for all tools, or policies by the name of the tool.
Policies: TypeAlias = Policy | Mapping[str, Policy]


def policy_of(policies: Policies, tool: str) -> Policy:
    """Return the policy of a tool; by default the owner of the conversation decides."""
    return policies if isinstance(policies, Policy) else policies.get(tool, Policy())


@dataclass(frozen=True, slots=True)
class ToolCallDescription:
    """A tool call as shown to people; `note` is a further text of the tool's author."""

    tool: str
    arguments: JsonObject
    input_schema: JsonObject
    note: str = ""

    @property
    def title(self) -> str:
        """The title of the call: the tool's name, and the first argument."""
        subject = str(next(iter(self.arguments.values()), ""))[:60]
        return f"{self.tool.replace('_', ' ').capitalize()} {subject}".strip()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call by name.

    `use` gets the validated arguments and the tool's context; it may be async, and the result
    becomes text. A `repeatable` tool is called again if a crash interrupted a call; for other
    tools, a person is asked. A tool that is not `in_step` is no step itself, but calls the context
    for steps and questions.
    """

    name: str
    description: str
    input_schema: JsonObject
    use: Callable[[JsonObject, ToolContext], Any]
    validate: Validate
    policy: Policy | None = None
    repeatable: bool = True
    in_step: bool = True

    def needs(
        self, approval: Approval = True, *, repeatable: bool = False, **options: Any
    ) -> "Tool":
        """Return a copy of the tool whose calls people must approve.

        Args:
            approval: the approvers of a call: `group("managers")`, True for the owner of the
                conversation, or a function of the arguments and the owner.
            repeatable: the tool may be called again after a crash in the middle.
            options: further fields of `Policy`, such as `edit=True`.
        """
        return replace(self, policy=Policy(approval, **options), repeatable=repeatable)

    @property
    def schema(self) -> JsonObject:
        """The description of the tool for a model."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": _for_models(self.input_schema),
        }
        return {"type": "function", "function": function}

    def describe(self, arguments: JsonObject) -> ToolCallDescription:
        return ToolCallDescription(self.name, arguments, self.input_schema)


def tool(
    function: Callable[..., Any], *, name: str = "", description: str = "", in_step: bool = True
) -> Tool:
    """Make a tool of a function, async or plain; plain ones run in a thread.

    Annotated parameters are the arguments, except a `ToolContext`. `name` and `description` are by
    default the function's name and docstring. Without `in_step` the function is part of the
    workflow: it calls `Context.get()`, and does in steps what must not be repeated.

    Raises:
        TypeError: a parameter has no annotation, or cannot be passed by name; or a function that is
            no step is not async.
    """
    if not in_step and not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__name__} is no step, so it has to be `async def`.")
    parameters = _Parameters(function)

    def use(values: JsonObject, tool_context: ToolContext) -> Any:
        return function(**parameters.keywords(values, tool_context))

    async def use_async(values: JsonObject, tool_context: ToolContext) -> Any:
        return await function(**parameters.keywords(values, tool_context))

    return Tool(
        name=name or function.__name__,
        description=description or inspect.getdoc(function) or "",
        input_schema=parameters.model.model_json_schema(),
        use=use_async if inspect.iscoroutinefunction(function) else use,
        validate=parameters.validate,
        in_step=in_step,
    )


def schema_tool(
    name: str,
    description: str,
    input_schema: JsonObject,
    use: Callable[[JsonObject, ToolContext], Any],
) -> Tool:
    """Make a tool from the JSON schema of its arguments."""
    validate = partial(validate_by_schema, input_schema)
    return Tool(name, description, input_schema, use, validate)


class _Parameters:
    """The parameters of a function that a model provides as arguments of the tool."""

    def __init__(self, function: Callable[..., Any]) -> None:
        hints, fields = get_type_hints(function, include_extras=True), {}
        self._context_name = ""
        self._adapters: dict[str, TypeAdapter[Any]] = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"{function.__name__}: {name!r} cannot be passed by name")
            if name not in hints:
                raise TypeError(f"{function.__name__}: {name!r} needs an annotation, for the model")
            if hints[name] is ToolContext:
                self._context_name = name
            else:
                is_required = parameter.default is parameter.empty
                fields[name] = (hints[name], Field(... if is_required else parameter.default))
                self._adapters[name] = TypeAdapter(hints[name])
        definitions: Any = fields
        self.model: type[BaseModel] = create_model(
            function.__name__,
            __config__={"extra": "forbid", "validate_by_name": True, "validate_by_alias": True},
            **definitions,
        )

    def keywords(self, values: JsonObject, tool_context: ToolContext) -> JsonObject:
        """Return the function's keyword arguments: validated ones, and the tool context."""
        checked = self.model.model_validate(values)
        by_name = {name: getattr(checked, name) for name in self._adapters}
        return by_name | ({self._context_name: tool_context} if self._context_name else {})

    async def validate(self, values: JsonObject) -> tuple[JsonObject, str]:
        """Return the arguments as the function will get them, defaults included; see `Validate`."""
        try:
            return self._validated(values), ""
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            return values, str(problems)
        except ValueError as error:
            return values, str(error)

    def _validated(self, values: JsonObject) -> JsonObject:
        checked = self.model.model_validate(values)
        validated: JsonObject = {}
        for name, adapter in self._adapters.items():
            alias = self.model.model_fields[name].validation_alias
            key = alias if isinstance(alias, str) else name
            try:
                validated[key] = as_written(
                    adapter, getattr(checked, name), values.get(key, MISSING)
                )
            except (ValueError, TypeError) as error:
                if name in checked.model_fields_set:
                    raise ValueError(HIDDEN.format(key)) from error
                # A default without JSON is omitted: the function itself has it.
        return validated


def as_written(adapter: TypeAdapter[Any], value: object, written: object) -> Any:
    """Return a validated value as JSON from which the same value is read.

    If the model's own JSON is equal, return that unchanged.

    Raises:
        ValueError: the JSON is read as another value, as with a secret.
    """
    options: Any = {"mode": "json", "by_alias": True, "round_trip": True, "warnings": False}
    dumped = as_json(adapter.dump_python(value, **options))
    if is_same_json(dumped, written):
        return written
    try:
        again = adapter.validate_python(dumped)
    except Exception as error:  # an author's validator may raise any exception
        raise ValueError(f"{dumped!r} is not read") from error
    if not is_same_value(again, value):
        raise ValueError(f"{value!r} is not {again!r}")
    return dumped


def is_same_value(one: Any, other: Any) -> bool:
    """Return whether two values are equal, or both are NaN, which equals nothing."""
    return bool(one == other or (one != one and other != other))


async def validate_by_schema(schema: JsonObject, values: JsonObject) -> tuple[JsonObject, str]:
    """Validate arguments by a JSON schema, with its defaults filled in; see `Validate`.

    A default that the schema itself refuses is left out.
    """
    filled = _with_defaults(schema, values, schema)
    problems = await aargument_problems(schema, filled)
    if problems and filled != values:
        filled = {
            name: values.get(name) if name in problems else value
            for name, value in filled.items()
            if name in values or name not in problems
        }
        problems = await aargument_problems(schema, filled)
        if problems and not await aargument_problems(schema, values):
            return values, ""  # ignore a default of an unused alternative of the schema
    texts = [f"{one}: {problem}".removeprefix(": ") for one, problem in problems.items()]
    return filled, "; ".join(texts)


def _with_defaults(schema: object, values: JsonObject, root: JsonObject) -> JsonObject:
    """Return an object with defaults for missing properties, also in nested objects."""
    properties = _resolved(schema, root).get("properties")
    filled = dict(values)
    for name, part in properties.items() if isinstance(properties, dict) else ():
        resolved = _resolved(part, root)
        if name not in values and "default" in resolved:
            filled[name] = as_json(resolved["default"])
        elif isinstance(values.get(name), dict):
            filled[name] = _with_defaults(resolved, values[name], root)
    return filled


def _for_models(schema: JsonObject) -> JsonObject:
    """Return a tool's schema in the form that strict model servers accept.

    That is an object with `properties`, without alternatives at the top; the properties of all
    alternatives are shown. Arguments are validated by the whole schema.
    """
    if (
        schema.get("type") == "object"
        and "properties" in schema
        and not ALTERNATIVES & schema.keys()
    ):
        return schema
    resolved = _resolved(schema, schema)
    properties: JsonObject = {}
    for name in ("allOf", "anyOf", "oneOf"):
        alternatives = resolved.get(name)
        for one in alternatives if isinstance(alternatives, list) else ():
            properties |= _resolved(one, schema).get("properties") or {}
    kept = {key: one for key, one in resolved.items() if key not in ALTERNATIVES}
    return {**kept, "type": "object", "properties": properties | (kept.get("properties") or {})}


def _resolved(schema: object, root: JsonObject) -> JsonObject:
    """Return a schema with its top-level reference to the root's definitions resolved."""
    if not isinstance(schema, dict):
        return {}
    _, _, name = str(schema.get("$ref", "")).partition("#/$defs/")
    definitions = root.get("$defs")
    target = definitions.get(name) if isinstance(definitions, dict) else None
    return {**target, **schema} if isinstance(target, dict) else schema


class Toolset(ABC):
    """A set of tools that is known only at run time, such as the tools of a server."""

    name: str

    @abstractmethod
    async def tools(self, context: Context) -> Sequence[Tool]:
        """Return the tools; the same in a replay.

        Raises:
            StepFailed: the tools are unavailable now.
        """


class Tools:
    """The tools of an agent, by name."""

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]]) -> None:
        """Collect tools; functions are converted by `tool`.

        Raises:
            ValueError: two tools have the same name.
        """
        self._by_name: dict[str, Tool] = {}
        for one in tools:
            made = one if isinstance(one, Tool) else tool(one)
            if made.name in self._by_name:
                raise ValueError(f"there are two tools {made.name!r}")
            self._by_name[made.name] = made

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Tool:
        return self._by_name[name]

    async def read(self, call: ToolCall) -> tuple[JsonObject, str]:
        """Return the validated arguments of a call, and a problem for the model or ""."""
        if call.name not in self._by_name:
            return {}, f"There is no tool {call.name!r}. There are: {', '.join(self._by_name)}."
        tool, text = self._by_name[call.name], call.arguments
        if text.strip() == "null" and not tool.input_schema.get("properties"):
            text = ""  # as some models write that there are no arguments
        written, problem = read_arguments(text)
        if not problem:
            written, problem = await tool.validate(written)
        return written, f"{UNFIT}{problem}" if problem else ""


def read_arguments(text: str) -> tuple[JsonObject, str]:
    """Return the arguments parsed from a model's JSON, and a problem or ""."""
    text = text.strip() or "{}"
    try:
        values = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        return {}, f"they are not JSON ({error})."
    if not isinstance(values, dict):
        return {}, "they are not a JSON object."
    try:
        json.loads(text, object_pairs_hook=_check_names)
    except ValueError as error:
        return {}, str(error)
    return as_json(values), ""


def _check_names(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"they have {name[:100]!r} twice.")
        seen.add(name)


def tool_name(text: str) -> str:
    """Return a text as a name that model servers accept for a tool."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)[:64] or "unnamed"


def as_text(result: object) -> str:
    """Return a tool's result as text for the model: text unchanged, anything else as JSON.

    Characters that cannot be stored, as in a binary file, are replaced.
    """
    # `str()` would return the name of a string enum; `str.__str__` returns its value.
    text = str.__str__(result) if isinstance(result, str) else _json_text(result)
    return str(storable(text))


def _json_text(result: object) -> str:
    """Return a result as JSON, with descriptions of binary data and of values without JSON."""
    if isinstance(result, Iterator):
        result = list(result)  # `list` executes a generator, which may raise
    try:
        return to_json(result, fallback=str).decode()
    except Exception as error:
        log.info("tool.result_not_shown", exc_info=error)
    try:
        shown = _without_bytes(ANYTHING.dump_python(result, fallback=str, warnings=False))
        return shown if isinstance(shown, str) else to_json(shown, fallback=str).decode()
    except Exception as error:
        log.warning("tool.result_not_shown", exc_info=error)
        return f"[{type(result).__name__}, which cannot be shown]"


def _without_bytes(value: object) -> Any:
    if isinstance(value, bytes | bytearray):
        return f"[{len(value):,} bytes, which cannot be shown]"
    if isinstance(value, dict):
        return {name: _without_bytes(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_bytes(one) for one in value]
    return value


def as_json(value: object) -> Any:
    """Return a value as JSON that can be stored.

    Characters are replaced as by `as_text`, and numbers that JSON lacks by their names.
    """
    whole = storable(to_jsonable_python(value, fallback=str))
    return from_json(to_json(whole, inf_nan_mode="strings"))


def cut(text: str, limit: int) -> str:
    """Return a text cut to a limit, with a note about the cut at the end."""
    more = len(text) - limit
    if more <= 0:
        return text
    return f"{text[:limit]}\n… and {more:,} characters more, which are left out."


def question_text(asked: object) -> str:
    """Return a framework's question as a prompt's text, which is neither empty nor too long."""
    text = as_text(asked)
    return text if 0 < len(text) <= MAX_TEXT else cut(text, MAX_TEXT - 100) or "?"
