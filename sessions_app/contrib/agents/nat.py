"""Configurations of the NeMo Agent Toolkit as workflows: unchanged, durable, with prompts.

Requires `[nat]`. A middleware of the toolkit records each call of a function, and a subclass of the
toolkit's builder records each request to a model; the toolkit's prompts become prompts of the run.
"""

import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Self, get_args, get_origin

from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from sessions_app.contrib.agents.done_calls import call_result
from sessions_app.contrib.agents.language_model import with_files
from sessions_app.contrib.agents.nesting import NamedCall, NestedCalls
from sessions_app.contrib.agents.tools import ToolCallDescription, question_text
from sessions_app.errors import NotJson, PromptExpired, Unrecorded
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person
from sessions_app.prompts import AnyPrompt
from sessions_app.prompts import as_text as answer_text
from sessions_app.storage.storable import storable
from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    DropdownPrompt,
    Message,
    NotificationPrompt,
    Option,
    PastMessage,
    RadioPrompt,
    TextPrompt,
    workflow,
)
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.steps import off_loop, type_of

NEEDED = (
    "sessions_app.contrib.agents.nat needs the NeMo Agent Toolkit 1.9 (nvidia-nat-core): "
    "pip install 'django-durable-hitl[nat]'"
)
try:
    from nat.builder.component_utils import WORKFLOW_COMPONENT_NAME
    from nat.builder.context import Context as NatContext
    from nat.builder.context import ContextState
    from nat.builder.workflow_builder import WorkflowBuilder
    from nat.cli.register_workflow import register_middleware
    from nat.cli.type_registry import GlobalTypeRegistry
    from nat.data_models import interactive
    from nat.data_models.api_server import ChatRequest, ChatRequestOrMessage
    from nat.data_models.authentication import AuthenticatedContext
    from nat.data_models.config import Config
    from nat.data_models.function import FunctionBaseConfig, FunctionGroupBaseConfig
    from nat.data_models.intermediate_step import IntermediateStep, IntermediateStepType
    from nat.data_models.middleware import FunctionMiddlewareBaseConfig
    from nat.middleware.function_middleware import FunctionMiddleware, FunctionMiddlewareChain
    from nat.middleware.middleware import FunctionMiddlewareContext
    from nat.runtime.loader import load_config
    from nat.runtime.session import SessionManager
except ImportError as error:
    raise ImproperlyConfigured(NEEDED) from error
if not (installed := version("nvidia-nat-core")).startswith("1.9."):
    raise ImproperlyConfigured(f"{NEEDED}. {installed} is installed.")

Source = Callable[[], AsyncIterator[Any]]
# A function of context, provider's configuration and authentication flow that signs a user in.
Authenticate = Callable[[Context, Any, Any], Awaitable["AuthenticatedContext"]]
# Keys that mark JSON as a dumped pydantic model: the present key, and that of earlier versions.
MODEL = "__model__"
CLASS = "__class__"
# Name of the recording middleware in the toolkit's configurations.
RECORDER = "hitl_recorder"
# Limits of a checkbox prompt: the toolkit accepts exactly one option as the answer.
ONE = {"min_selected": 1, "max_selected": 1}
CHOICES: dict[str, tuple[Callable[..., AnyPrompt], Any]] = {
    interactive.HumanPromptModelType.BINARY_CHOICE: (BinaryPrompt, interactive.HumanResponseBinary),
    interactive.HumanPromptModelType.RADIO: (RadioPrompt, interactive.HumanResponseRadio),
    interactive.HumanPromptModelType.DROPDOWN: (DropdownPrompt, interactive.HumanResponseDropdown),
    interactive.HumanPromptModelType.CHECKBOX: (CheckboxPrompt, interactive.HumanResponseCheckbox),
}


@dataclass(slots=True)
class _RecordedRun:
    """The run that the current code belongs to, with the ids of its recorded function calls.

    `names` are the configuration's functions and groups; all of them have the recording middleware.
    """

    context: Context
    calls: NestedCalls
    names: set[str]
    recorded_ids: set[str] = field(default_factory=set)

    def refuse_unrecorded(self, step: "IntermediateStep") -> None:
        """Suspend the run if a function without the recording middleware has been called."""
        call = NatContext.get().active_function
        is_end = step.event_type == IntermediateStepType.FUNCTION_END
        # Ignore function ends that frameworks and other servers report under ids of their own.
        if not is_end or call.function_id != step.UUID or step.UUID in self.recorded_ids:
            return
        # A function that rejects its input is not executed, and so does not reach the recorder.
        has_refused = step.data is None or step.data.output is None
        if has_refused and call.function_name.partition("__")[0] in self.names:
            return
        if call.function_name != WORKFLOW_COMPONENT_NAME:
            execution = self.context._execution  # noqa: SLF001 - no public way
            execution.mistake = execution.mistake or CalledUnrecorded(call.function_name)


_run: ContextVar[_RecordedRun | None] = ContextVar("_run", default=None)


class CalledUnrecorded(Unrecorded):
    """A run called a function that lacks the recording middleware."""

    def __init__(self, function: str) -> None:
        super().__init__(
            f"The function {function} was called without a record, so a replay calls it again. Who "
            "builds it makes a WorkflowBuilder: make a RecordingBuilder of "
            "sessions_app.contrib.agents.nat there, and resume the run."
        )


def nat_workflow(config_path: str | Path, *, name: str, title: str = "", **options: Any) -> None:
    """Host a configuration of the toolkit as a workflow.

    Args:
        config_path: the unchanged configuration file.
        name: the workflow's name; `title` is shown to people, by default the name.
        options: further arguments of `HostedConfig` and of `workflow`.

    Raises:
        ImproperlyConfigured: the file is missing or invalid.
    """
    own = {one: options.pop(one) for one in ("authenticate", "history") if one in options}
    hosted = HostedConfig(config_path, **own)
    builder = "per_user_builder" if hosted.is_per_user else "shared_builder"
    options[builder] = hosted.open_for_user if hosted.is_per_user else hosted.open

    @workflow(name=name, title=title or name.replace("_", " ").capitalize(), **options)
    async def answer(message: Message, context: Context) -> str:
        return await hosted.run(context)


class HostedConfig:
    """A configuration of the NeMo Agent Toolkit, hosted as a workflow with durable runs."""

    def __init__(
        self,
        config_path: str | Path,
        *,
        authenticate: Authenticate | None = None,
        history: int = 20,
    ) -> None:
        """Check the configuration file; see `nat_workflow`.

        Args:
            config_path: the unchanged configuration file.
            authenticate: signs in the run's person for functions that need it, and returns the
                credentials for requests; without it such functions fail. Replay may call it again.
            history: number of earlier messages for a workflow that takes a conversation.
        """
        self._path = Path(config_path)
        self._authenticate = authenticate
        self._history = history
        config = read(self._path)
        self._names = {*config.functions, *config.function_groups}
        registration = GlobalTypeRegistry.get().get_function(type(config.workflow))
        self.is_per_user: bool = registration.is_per_user

    @asynccontextmanager
    async def open(self, _options: object) -> AsyncIterator["SessionManager"]:
        """Build the resources that all runs share."""
        config = read(self._path)
        # Add the recorder to the configuration, from which the toolkit makes the builders of users.
        for configs in (config.functions, config.function_groups):
            configs.update({name: _with_recorder(one) for name, one in configs.items()})
        async with RecordingBuilder.from_config(config) as builder:
            manager = await SessionManager.create(config, builder, max_concurrency=0)
            try:
                yield manager
            finally:
                await manager.shutdown()

    @asynccontextmanager
    async def open_for_user(
        self, person: Person, _options: object
    ) -> AsyncIterator["SessionManager"]:
        """Build the resources that a user's runs share.

        They are built in a session, which stays open. Without an open session, the toolkit would
        close the user's resources, and build them again with the context variables of a run.
        """
        async with self.open(_options) as manager, manager.session(user_id=str(person.id)):
            yield manager

    async def run(self, context: Context) -> str:
        """Answer the run's message, and return the workflow's output as text."""
        manager: SessionManager = context.builder
        message = await self._input(context, manager)
        calls = NestedCalls(context._execution)  # noqa: SLF001 - steps cannot make calls
        state = ContextState.get()
        ids = {
            state.workflow_run_id: context.run_id,
            state.workflow_trace_id: context.workflow_trace_id,
        }
        recorded_run = _RecordedRun(context, calls, self._names)
        with calls.outermost(), bind({_run: recorded_run, **ids}):
            async with (
                manager.session(
                    user_id=context.user_id or None,
                    conversation_id=context.conversation_id,
                    user_message_id=context.user_message_id,
                    user_input_callback=partial(ask_person, context, calls),
                    user_authentication_callback=self._authenticate
                    and partial(self._sign_in, self._authenticate, context, calls),
                ) as session,
                session.run(message) as runner,
            ):
                steps = runner.context.intermediate_step_manager
                steps.subscribe(recorded_run.refuse_unrecorded)
                if session.workflow.has_single_output:
                    return as_text(await runner.result(), runner.convert)
                # Collect all chunks before showing any, because a replay could not tell which
                # chunks people have already read.
                return "".join(
                    [as_text(chunk, runner.convert) async for chunk in runner.result_stream()]
                )

    async def _sign_in(
        self,
        authenticate: Authenticate,
        context: Context,
        calls: NestedCalls,
        *provider: Any,
    ) -> "AuthenticatedContext":
        """Sign the person in; calls of the context are recorded on a separate track.

        The toolkit keeps the result in memory and does not ask again, so that a replay may make
        these calls or not.
        """
        async with calls.on_separate_track("sign in"):
            return await authenticate(context, *provider)

    async def _input(self, context: Context, manager: "SessionManager") -> Any:
        """Return the workflow's input: the message with earlier ones, or parsed from its JSON."""
        takes = manager.get_workflow_input_schema()
        text = with_files(str(context.input_message), context.files)
        if takes in (ChatRequest, ChatRequestOrMessage):
            past = await context.history(self._history, calls=True)
            if past:
                texts = [(one.role, _past_text(one)) for one in past]
                messages = [{"role": role, "content": said} for role, said in texts if said]
                return takes(messages=[*messages, {"role": "user", "content": text}])
        elif [field.annotation for field in takes.model_fields.values()] != [str]:
            return takes.model_validate_json(str(context.input_message))
        return text


def _past_text(past: PastMessage) -> str:
    """Return an earlier message as text; that of a run names its calls, which NAT has no form for.

    Requests to models, which are recorded without arguments, are left out.
    """
    lines = [
        f"{one.name}({_written(one.arguments)}): {call_result(one)}"
        for one in past.calls
        if one.arguments
    ]
    calls = "\n".join(["[Calls that were made:", *lines]) + "]" if lines else ""
    return "\n\n".join(filter(None, [with_files(past.text, past.files), calls]))


def _written(arguments: list[Any] | str) -> str:
    return arguments if isinstance(arguments, str) else ", ".join(map(json.dumps, arguments))


async def ask_person(
    context: Context, calls: NestedCalls, interaction: interactive.InteractionPrompt
) -> interactive.HumanResponse:
    """Ask a person on behalf of a toolkit's function; return the answer in the toolkit's format.

    Raises:
        TimeoutError: nobody answered in time.
    """
    content = interaction.content
    common: JsonObject = {"text": question_text(content.text), "timeout": content.timeout}
    if content.error:
        common["error"] = content.error
    await calls.note_nested_call()
    try:
        match content.input_type:
            case interactive.HumanPromptModelType.TEXT:
                placeholder, required = content.placeholder or "", content.required
                prompt = TextPrompt(placeholder=placeholder, required=required, **common)
                return interactive.HumanResponseText(text=(await context.ask(prompt)).text)
            case interactive.HumanPromptModelType.NOTIFICATION:
                await context.ask(NotificationPrompt(**common))
                return interactive.HumanResponseNotification()
        return await _choose(context, content, common)
    except PromptExpired as error:
        raise TimeoutError(content.error or str(error)) from error


async def _choose(context: Context, content: Any, common: JsonObject) -> interactive.HumanResponse:
    """Ask a person to choose an option, and return the option in the toolkit's format."""
    if content.input_type not in CHOICES:
        raise ValueError(f"A prompt {content.input_type!r} cannot be asked here.")
    prompt_type, response_type = CHOICES[content.input_type]
    several = content.input_type == interactive.HumanPromptModelType.CHECKBOX
    values = _distinct_values(content.options)
    options = [
        Option(id=option.id, label=option.label, value=value, description=_description(option))
        for option, value in zip(content.options, values, strict=True)
    ]
    answer: Any = await context.ask(
        prompt_type(options=options, **common, **(ONE if several else {}))
    )
    # Compare texts, because for Python 1 == True.
    value = answer_text(answer.values[0] if several else answer.value)
    index = [answer_text(one) for one in values].index(value)
    return response_type(selected_option=content.options[index])


def _distinct_values(options: list[Any]) -> list[Any]:
    """Return a distinct value for each option: values, ids or labels, or else numbers.

    Each of the three may be a default that all options share.
    """
    for name in ("value", "id", "label"):
        values = [getattr(option, name) for option in options]
        with suppress(ValidationError):  # an option's value is invalid: try the next attribute
            for value in values:
                Option.model_validate({"value": value})
            if len(set(map(answer_text, values))) == len(values):
                return values
    return [str(number) for number in range(1, len(options) + 1)]


def _description(option: Any) -> str:
    """Return an option's description; the text "default" is the toolkit's for none."""
    text = getattr(option, "description", "default")
    return "" if text == "default" else text


def read(path: Path) -> "Config":
    """Read a configuration of the toolkit.

    Raises:
        ImproperlyConfigured: the file is missing or invalid.
    """
    if not path.is_file():
        raise ImproperlyConfigured(f"{path}: there is no such file.")
    try:
        return load_config(path)
    except Exception as error:
        raise ImproperlyConfigured(f"{path}: the toolkit cannot load it: {error}") from error


def as_text(output: Any, convert: Callable[[Any, type], Any]) -> str:
    """Return an output as text, converted by the toolkit, or else as JSON."""
    with suppress(ValueError):
        return str(convert(output, str))
    with suppress(ValueError):
        return to_json(output, fallback=str).decode()
    return str(output)  # the output is neither text nor JSON, e.g. bytes


class Recorder(FunctionMiddleware):
    """A middleware that records function calls in hosted runs, and passes other calls on.

    A recorded result replaces the whole call, because a skipped function (`InvocationAction.SKIP`)
    would give None.
    """

    async def function_middleware_invoke(
        self,
        *args: Any,
        call_next: Callable[..., Any],
        context: "FunctionMiddlewareContext",
        **kwargs: Any,
    ) -> Any:
        """Return the recorded result of a call, or else make the call."""

        async def result() -> AsyncGenerator[Any, None]:
            yield await call_next(*args, **kwargs)

        [value] = [piece async for piece in _recorded(context, args, result)]
        return value

    async def function_middleware_stream(
        self,
        *args: Any,
        call_next: Callable[..., AsyncIterator[Any]],
        context: "FunctionMiddlewareContext",
        **kwargs: Any,
    ) -> AsyncGenerator[Any, None]:
        """Yield the recorded pieces of a call, or else make the call."""
        async for piece in _recorded(context, args, partial(call_next, *args, **kwargs)):
            yield piece


class RecorderConfig(FunctionMiddlewareBaseConfig, name=RECORDER):  # type: ignore[call-arg] # has no types
    """The configuration of the recorder: it has nothing to set."""


@register_middleware(config_type=RecorderConfig)
async def _recorder(_config: RecorderConfig, _builder: object) -> AsyncIterator[Recorder]:
    yield Recorder()


class RecordingBuilder(WorkflowBuilder):
    """A builder of the toolkit that adds the recorder to functions and model clients."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.add_middleware(RECORDER, RecorderConfig())
        return self

    async def add_function(self, name: Any, config: "FunctionBaseConfig") -> Any:
        """Build a function with the recording middleware in front."""
        return await super().add_function(name, _with_recorder(config))

    async def add_function_group(self, name: Any, config: "FunctionGroupBaseConfig") -> Any:
        """Build a group of functions with the recording middleware in front."""
        return await super().add_function_group(name, _with_recorder(config))

    async def get_llm(self, llm_name: Any, wrapper_type: Any) -> Any:
        """Make a client of a language model; the recorder records the client's calls."""
        client = await super().get_llm(llm_name, wrapper_type)
        described = FunctionMiddlewareContext(
            name=str(llm_name),
            config=None,
            description=None,
            input_schema=None,
            single_output_schema=type(None),
            stream_output_schema=type(None),
        )
        chain = FunctionMiddlewareChain(middleware=[Recorder()], context=described)
        # Async methods by which frameworks call a model; blocking ones cannot be recorded.
        methods = {"ainvoke": chain.build_single, "astream": chain.build_stream}
        for method, build in methods.items():
            if (original := getattr(client, method, None)) is not None:
                object.__setattr__(client, method, build(original))
        return client


def _with_recorder(config: Any) -> Any:
    others = [name for name in config.middleware if name != RECORDER]
    return config.model_copy(update={"middleware": [RECORDER, *others]})


async def _recorded(
    middleware_context: "FunctionMiddlewareContext", args: tuple[Any, ...], source: Source
) -> AsyncGenerator[Any, None]:
    run, name = _run.get(), middleware_context.name
    if run is None:
        async for piece in source():
            yield piece
        return
    if middleware_context.config is not None:  # a function is called: a model would have no config
        run.recorded_ids.add(NatContext.get().active_function.function_id)

    async def stored() -> AsyncGenerator[Any, None]:
        async for piece in source():
            yield await off_loop(partial(_storable, piece, name), piece)

    async with aclosing(run.calls.pieces(_described(middleware_context, args), stored)) as pieces:
        async for piece in pieces:
            yield piece


def _described(middleware_context: "FunctionMiddlewareContext", args: tuple[Any, ...]) -> NamedCall:
    """Describe a call for the journal and for people."""
    name = middleware_context.name
    if middleware_context.config is None:  # a model is called: skip arguments, as ids may be random
        return NamedCall(name, title=_title(name, {}), text=_content, load=load)
    value = args[0] if args else None
    arguments = {} if value is None else {"input": value}
    if isinstance(value, BaseModel):
        arguments = {"input": str(value)}
        with suppress(ValueError):  # keep the text if JSON fails, e.g. for bytes
            arguments = value.model_dump(mode="json", fallback=str)
    return NamedCall(name, (value,), _title(name, arguments), _content, load)


def _title(name: str, arguments: JsonObject) -> str:
    return ToolCallDescription(name.replace("__", " "), arguments, {}).title


def _content(piece: Any) -> str:
    """Return the text of a result for people."""
    value = piece
    if isinstance(piece, dict) and MODEL in piece:
        value = piece["fields"]
        if piece[MODEL] is not None and isinstance(value, dict):
            value = value.get("content", value)
    return value if isinstance(value, str) else to_json(value).decode()


def _storable(piece: Any, function: str) -> Any:
    try:
        return storable(dump(piece, function))
    except RecursionError:
        problem = "lists or objects in it are too deep in each other"
        raise NotJson.of(f"The result of step {function}", problem) from None


def dump(value: Any, function: str) -> Any:
    """Return a function's result as JSON for `load`.

    The JSON of a pydantic model has the name of the class. A dict with such a key is marked as a
    dict.

    Raises:
        NotJson: an object would be read back as another one.
    """
    if isinstance(value, BaseModel) and (name := _name_of(type(value))) is not None:
        fields = type_of(type(value), function).dump(value, any_text=True)
        return {MODEL: name, "fields": fields}
    if isinstance(value, dict):
        parts = {name: dump(part, function) for name, part in value.items()}
        return {MODEL: None, "fields": parts} if {MODEL, CLASS} & parts.keys() else parts
    return [dump(part, function) for part in value] if isinstance(value, list) else value


def load(value: Any) -> Any:
    """Return the value from the JSON that `dump` made.

    Raises:
        ValueError: a class is gone, or no longer accepts the JSON.
    """
    if isinstance(value, list):
        return [load(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {CLASS, "fields"}:
        return _load_model(_imported(value[CLASS]), value["fields"])
    if value.get(MODEL) is not None:
        return _load_model(_find(value[MODEL]), value["fields"])
    parts = value["fields"] if MODEL in value else value
    return {name: load(part) for name, part in parts.items()}


def _load_model(model: Any, fields: Any) -> Any:
    return type_of(model, model.__name__).load(fields)


def _imported(name: str) -> type[BaseModel]:
    """Return the class named in JSON that an earlier version recorded.

    That version did not mark dicts, so the name may come from elsewhere: no module is imported.

    Raises:
        ValueError: the process has no such model.
    """
    if str(name).partition(":")[0] in sys.modules:
        model = _find(name)
        if isinstance(model, type) and issubclass(model, BaseModel):
            return model
    raise ValueError(f"{name} is no model that is imported: import it where its workflow is")


def _name_of(kind: Any) -> Any:
    """Return the name by which `_find` finds the class, or None if there is none.

    The name of a generic class is a list: the class and its type arguments.
    """
    generic = getattr(kind, "__pydantic_generic_metadata__", None)
    origin = generic["origin"] if generic else get_origin(kind)
    arguments = generic["args"] if generic else get_args(kind)
    if origin is None:
        name: Any = f"{getattr(kind, '__module__', '')}:{getattr(kind, '__qualname__', '')}"
    else:
        name = [_name_of(origin), *map(_name_of, arguments)]
    try:
        return name if _find(name) == kind else None
    except (ValueError, TypeError):
        return None


def _find(name: Any) -> Any:
    """Return the class with a name that `_name_of` made.

    Raises:
        ValueError: there is no such class.
    """
    if isinstance(name, list):
        origin, *arguments = map(_find, name)
        return origin[tuple(arguments)]
    try:
        return resolve_name(name)
    except (ValueError, AttributeError, ImportError) as error:
        raise ValueError(f"there is no class {name}: {error}") from error
