"""Tools of an agent: functions that a model may call, and who must allow each call."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_core import from_json, to_json, to_jsonable_python

from sessions_app.agents.models import ToolCall
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person
from sessions_app.prompts import MAX_TEXT, argument_problems
from sessions_app.prompts.assignment import Escalation, To
from sessions_app.storage.storable import storable
from sessions_app.workflows import Context

# Who must allow a call: True is the owner of the conversation, False nobody. A function gets the
# arguments and the owner; it is called again by replay, so it looks at nothing else.
Approval: TypeAlias = To | bool | Callable[[JsonObject, Person], To | bool]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The facts that a tool has beside its arguments, in a parameter with this annotation.

    `call_id` is the same whenever this call is made again: a key for systems that recognise
    repeated requests. `builder` and `options` are the workflow's.
    """

    user: Person
    conversation_id: str
    run_id: str
    call_id: str
    builder: Any = field(repr=False)
    options: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rule by which people allow the calls of a tool.

    Args:
        approval: who must allow a call; see `Approval`.
        edit: they may edit the arguments.
        answer: they may write a result in the tool's place.
        timeout: seconds after which a call counts as rejected; None waits for ever.
        four_eyes, share, due, remind, escalate: as of `Context.ask`.
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

    def approvers(self, arguments: JsonObject, owner: Person) -> To | bool:
        """Return who must allow a call with these arguments."""
        return self.approval(arguments, owner) if callable(self.approval) else self.approval

    def assignment(self, approvers: To | bool) -> JsonObject:
        """Return the arguments of `Context.ask` that have these people asked."""
        if isinstance(approvers, bool):
            return {}
        names = ("four_eyes", "share", "due", "remind", "escalate")
        return {"to": approvers, **{name: getattr(self, name) for name in names}}


# One policy for all tools, or one by the name of a tool.
Policies: TypeAlias = Policy | Mapping[str, Policy]


def policy_of(policies: Policies, tool: str) -> Policy:
    """Return the policy of a tool; where it is not named, the owner of the conversation decides."""
    return policies if isinstance(policies, Policy) else policies.get(tool, Policy())


@dataclass(frozen=True, slots=True)
class ToolCallDescription:
    """A call of a tool, as people are asked about it; `note` is a text of the tool's author."""

    tool: str
    arguments: JsonObject
    input_schema: JsonObject
    note: str = ""

    @property
    def title(self) -> str:
        """The call in short: the tool, and its first argument."""
        subject = str(next(iter(self.arguments.values()), ""))[:60]
        return f"{self.tool.replace('_', ' ').capitalize()} {subject}".strip()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call by name.

    `use` gets the arguments and the tool's context; it may be async, and its result becomes text.
    `check` returns what is wrong with arguments, "" for nothing. A `repeatable` tool is called
    again after a crash in the middle; for another a person is asked whether to. One that is not
    `in_step` is no step itself: it calls the context, for steps and questions of its own.
    """

    name: str
    description: str
    input_schema: JsonObject
    use: Callable[[JsonObject, ToolContext], Any]
    check: Callable[[JsonObject], str]
    policy: Policy | None = None
    repeatable: bool = True
    in_step: bool = True

    def needs(
        self, approval: Approval = True, *, repeatable: bool = False, **options: Any
    ) -> "Tool":
        """Return the tool with a policy: people must allow its calls.

        Args:
            approval: who must allow a call: `group("managers")`, True for the owner of the
                conversation, or a function that says so by the arguments and the owner.
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
            "parameters": self.input_schema,
        }
        return {"type": "function", "function": function}

    def describe(self, arguments: JsonObject) -> ToolCallDescription:
        """Describe a call for people."""
        return ToolCallDescription(self.name, arguments, self.input_schema)

    def title(self, arguments: JsonObject) -> str:
        """Return a call in short."""
        return self.describe(arguments).title


def tool(function: Callable[..., Any], *, name: str = "", description: str = "") -> Tool:
    """Make a tool of a function, async or plain; plain ones run in a thread.

    Its parameters with their annotations are the arguments, but for one that is a `ToolContext`.
    `name` and `description` are by default the function's name and docstring.

    Raises:
        TypeError: a parameter has no annotation, or cannot be passed by name.
    """
    arguments, context_name = _arguments_model(function)

    def keywords(values: JsonObject, tool_context: ToolContext) -> JsonObject:
        checked = arguments.model_validate(values)
        by_name = {name: getattr(checked, name) for name in type(checked).model_fields}
        return by_name | ({context_name: tool_context} if context_name else {})

    def use(values: JsonObject, tool_context: ToolContext) -> Any:
        return function(**keywords(values, tool_context))

    def check(values: JsonObject) -> str:
        try:
            arguments.model_validate(values)
        except ValidationError as error:
            return str(error.errors(include_url=False, include_input=False, include_context=False))
        return ""

    async def use_async(values: JsonObject, tool_context: ToolContext) -> Any:
        return await function(**keywords(values, tool_context))

    return Tool(
        name=name or function.__name__,
        description=description or inspect.getdoc(function) or "",
        input_schema=arguments.model_json_schema(),
        use=use_async if inspect.iscoroutinefunction(function) else use,
        check=check,
    )


def schema_tool(
    name: str,
    description: str,
    input_schema: JsonObject,
    use: Callable[[JsonObject, ToolContext], Any],
) -> Tool:
    """Make a tool of which only the JSON schema of its arguments is known."""

    def check(values: JsonObject) -> str:
        problems = argument_problems(input_schema, values)
        texts = [f"{one}: {problem}".removeprefix(": ") for one, problem in problems.items()]
        return "; ".join(texts)

    return Tool(name, description, input_schema, use, check)


def _arguments_model(function: Callable[..., Any]) -> tuple[type[BaseModel], str]:
    """Return a model of a function's arguments, and the name of its `ToolContext` parameter."""
    hints, fields, context_name = get_type_hints(function, include_extras=True), {}, ""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{function.__name__}: {name!r} cannot be passed by name")
        if name not in hints:
            raise TypeError(f"{function.__name__}: {name!r} needs an annotation, for the model")
        if hints[name] is ToolContext:
            context_name = name
        else:
            is_required = parameter.default is parameter.empty
            fields[name] = (hints[name], Field(... if is_required else parameter.default))
    definitions: Any = fields
    model: type[BaseModel] = create_model(
        function.__name__, __config__={"extra": "forbid"}, **definitions
    )
    return model, context_name


class Toolset(ABC):
    """Tools that are known only while a run is at work, such as those that a server offers."""

    name: str

    @abstractmethod
    async def tools(self, context: Context) -> Sequence[Tool]:
        """Return the tools; replay returns the same.

        Raises:
            StepFailed: they cannot be had now.
        """


class Tools:
    """The tools of an agent, by name."""

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]]) -> None:
        """Collect tools; a function stands for `tool(function)`.

        Raises:
            ValueError: two have one name.
        """
        self._by_name: dict[str, Tool] = {}
        for one in tools:
            made = one if isinstance(one, Tool) else tool(one)
            if made.name in self._by_name:
                raise ValueError(f"there are two tools {made.name!r}")
            self._by_name[made.name] = made

    def __iter__(self) -> Iterator[Tool]:
        """Iterate over the tools, in their order."""
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Tool:
        """Return the tool of this name."""
        return self._by_name[name]

    def read(self, call: ToolCall) -> tuple[JsonObject, str]:
        """Return the arguments of a call, and what is wrong with it, for the model."""
        if call.name not in self._by_name:
            return {}, f"There is no tool {call.name!r}. There are: {', '.join(self._by_name)}."
        try:
            arguments = from_json(call.arguments or "{}", allow_inf_nan=False)
        except ValueError as error:
            return {}, f"The arguments do not fit: they are not JSON ({error})."
        if not isinstance(arguments, dict):
            return {}, "The arguments do not fit: they are not a JSON object."
        problem = self._by_name[call.name].check(arguments)
        return arguments, f"The arguments do not fit: {problem}" if problem else ""


def as_text(result: object) -> str:
    """Return the result of a tool as the model reads it: a text as it is, else JSON.

    Characters that cannot be stored, as of a file that is no text, are replaced.
    """
    text = result if isinstance(result, str) else to_json(result, fallback=str).decode()
    return str(storable(text))


def as_json(value: object) -> Any:
    """Return a value as JSON that can be stored; characters are replaced as by `as_text`, and a
    number that JSON lacks by its name.
    """
    whole = storable(to_jsonable_python(value, fallback=str))
    return from_json(to_json(whole, inf_nan_mode="strings"))


def cut(text: str, limit: int) -> str:
    """Return a text without what is too much of it; it says so at its end."""
    more = len(text) - limit
    if more <= 0:
        return text
    return f"{text[:limit]}\n… and {more:,} characters more, which are left out."


def question_text(asked: object) -> str:
    """Return what a framework asks as the text of a prompt, which is neither empty nor too long."""
    text = as_text(asked)
    return text if 0 < len(text) <= MAX_TEXT else cut(text, MAX_TEXT - 100) or "?"
