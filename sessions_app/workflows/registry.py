"""The workflows that installed applications declare, and the subset offered by this site."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel

from sessions_app.errors import UnknownVersion, UnknownWorkflow
from sessions_app.json_types import JsonObject
from sessions_app.models.host_lease import HostKey
from sessions_app.models.people import UserId, name_of
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows.config import Policy, RuntimeConfig, WorkflowConfig
from sessions_app.workflows.sources import WorkflowSource

# Type of a workflow's function, which takes (message, context).
WorkflowFunction = Callable[[Any, Any], AsyncIterator[Any] | Awaitable[Any]]
BuilderFactory = Callable[..., Any]
F = TypeVar("F", bound=WorkflowFunction)

MAX_VERSION = 1_000_000
SIGNATURE = (
    "a workflow takes (message, context), in this order, such as "
    "`async def shout(message: Message, context: Context)`"
)


class NoOptions(BaseModel, extra="forbid"):
    """The options of a workflow that has none."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow as declared by `@workflow`: its function, builders, and texts for people."""

    name: str
    title: str
    description: str
    function: WorkflowFunction
    per_user_builder: BuilderFactory | None
    shared_builder: BuilderFactory | None
    options: type[BaseModel]
    second_message: Policy | None
    starters: tuple[str, ...]
    asks: tuple[str, ...] = ()
    takes_files: bool = False
    icon: str = "mark"
    notice: str = ""
    version: int = 1
    # Earlier versions, sorted from the oldest; this declaration is the newest version.
    earlier: tuple["Workflow", ...] = ()

    @property
    def versions(self) -> "tuple[Workflow, ...]":
        """The declared versions; the last is the newest, which begins runs."""
        return (*self.earlier, self)

    def of_version(self, version: int) -> "Workflow":
        """Return the declaration of that version, which continues the runs that it began.

        Raises:
            UnknownVersion: that version is no longer declared.
        """
        for declaration in self.versions:
            if declaration.version == version:
                return declaration
        raise UnknownVersion(
            self.name, version, [declaration.version for declaration in self.versions]
        )

    @property
    def streams(self) -> bool:
        """True if the workflow yields chunks; else it returns one result."""
        return inspect.isasyncgenfunction(self.function)


@dataclass(frozen=True, slots=True)
class OfferedWorkflow:
    """A workflow that this site offers, with its configuration and options, all checked."""

    workflow: Workflow
    config: WorkflowConfig
    options: BaseModel

    @property
    def policy(self) -> Policy | None:
        """The effect of a message while a run is active; None lets the client choose."""
        return self.config.second_message or self.workflow.second_message

    def key(self, *, conversation: UUID, owner: UserId) -> HostKey:
        """Return the key (a user's or the conversation's) under which the runs get their host."""
        if self.workflow.per_user_builder is not None:
            return HostKey.of_user(name_of(owner), self.workflow.name)
        return HostKey.of_conversation(conversation, self.workflow.name)


_declared: dict[str, Workflow] = {}
_offered: dict[str, OfferedWorkflow] = {}
_default: list[str] = []


def workflow(  # noqa: PLR0913 - a declaration, read like a form
    *,
    name: str,
    title: str,
    version: int = 1,
    description: str = "",
    starters: tuple[str, ...] = (),
    asks: tuple[str, ...] = (),
    takes_files: bool = False,
    icon: str = "mark",
    notice: str = "",
    second_message: Policy | None = None,
    options: type[BaseModel] = NoOptions,
    per_user_builder: BuilderFactory | None = None,
    shared_builder: BuilderFactory | None = None,
) -> Callable[[F], F]:
    """Declare an async function or async generator `(message, context)` to be a workflow.

    Args:
        name: the name for configuration and clients; letters, digits, `_` and `-`.
        version: the newest version begins runs and is shown to people; earlier versions stay
            declared to finish the runs that they began. All have one builder and one options model.
        title: the title on the page; `description`, `starters` (messages to try) and `asks`
            (questions to expect, each in a few words that follow "Asks", such as "before writing")
            help people begin.
        icon: a symbol of the pages: see docs/look.md. `notice` is a line for operators beside it.
        takes_files: people may attach files to a message; see `context.files`.
        second_message: the effect of a message while a run of the conversation is active:
            `enqueue`, `reject`, `interrupt` or `parallel`. Configuration may override it. The
            default is `enqueue`, or `interrupt` for a plain client of the socket; over HTTP
            `enqueue`, and a run that waits for an answer is stopped.
        options: a pydantic model of the configurable options, for `context.options`.
        per_user_builder: builds the shared resource of one user's runs: an async function or async
            context manager `(user, options)`; the result is `context.builder`. Closed when idle.
        shared_builder: the same for all users: `(options)`. At most one of the two.

    Raises:
        ImproperlyConfigured: the function is not async, the name is taken or malformed, or another
            version has another builder or other options.
    """

    def declare(function: F) -> F:
        declaration = Workflow(
            name=name,
            title=title,
            description=description,
            function=function,
            per_user_builder=per_user_builder,
            shared_builder=shared_builder,
            options=options,
            second_message=second_message,
            starters=tuple(starters),
            asks=tuple(asks),
            takes_files=takes_files,
            icon=icon,
            notice=notice,
            version=version,
        )
        _check_declaration(declaration)
        versions = _declared[name].versions if name in _declared else ()
        other_versions = [entry for entry in versions if entry.version != version]
        _check_beside(declaration, versions)
        *earlier, newest = sorted([*other_versions, declaration], key=lambda entry: entry.version)
        _declared[name] = replace(newest, earlier=tuple(earlier))
        return function

    return declare


def _check_declaration(declaration: Workflow) -> None:
    name, function, location = declaration.name, declaration.function, _where(declaration)
    if not name.replace("_", "").replace("-", "").isalnum() or len(name) > 100:
        raise ImproperlyConfigured(f"{location}: a name has letters, digits, '_' and '-' only.")
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        raise ImproperlyConfigured(
            f"{location}: a workflow is an 'async def' function; with 'yield' it streams."
        )
    signature = inspect.signature(function)
    try:
        signature.bind("message", "context")
    except TypeError as error:
        raise ImproperlyConfigured(f"{location}: {SIGNATURE}: {error}.") from None
    # A lone `*args` accepts the message and the context.
    first, second, *_ = [*signature.parameters.values()] * 2
    if _is_named(first, "Context") and not _is_named(second, "Context"):
        raise ImproperlyConfigured(f"{location}: {SIGNATURE}, and this takes {signature}.")
    if declaration.per_user_builder is not None and declaration.shared_builder is not None:
        raise ImproperlyConfigured(
            f"{location}: give per_user_builder or shared_builder, not both."
        )
    if not 1 <= declaration.version <= MAX_VERSION:
        raise ImproperlyConfigured(f"{location}: a version is a number from 1 to {MAX_VERSION:,}.")


def _is_named(parameter: inspect.Parameter, name: str) -> bool:
    """Return whether a parameter's annotation, or else its name, denotes the class `name`."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return parameter.name == name.lower()
    return str(getattr(annotation, "__name__", annotation)).rpartition(".")[2] == name


def _check_beside(declaration: Workflow, versions: Iterable[Workflow]) -> None:
    for sibling in versions:
        # Accept a repeated declaration on the same line: its module was reloaded.
        location = _line(sibling)
        if sibling.version == declaration.version and location != _line(declaration):
            raise ImproperlyConfigured(
                f"{_where(declaration)} in {_line(declaration)}: there is a workflow of that name "
                f"already, in {location}. Give one of them another name; a new version of it has a "
                "higher version=."
            )
        if sibling.version != declaration.version and _shared(sibling) != _shared(declaration):
            raise ImproperlyConfigured(
                f"{_where(declaration)}: version {sibling.version} has another builder or other "
                "options. The versions of a workflow share these."
            )


def _where(declaration: Workflow) -> str:
    function = declaration.function
    return f"@workflow(name={declaration.name!r}) on {getattr(function, '__qualname__', function)}"


def _line(declaration: Workflow) -> str:
    """Return the file and the line of a workflow's function."""
    code = getattr(inspect.unwrap(declaration.function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else declaration.function.__module__


def _shared(declaration: Workflow) -> tuple[object, ...]:
    return declaration.per_user_builder, declaration.shared_builder, declaration.options


def declared_workflows() -> dict[str, Workflow]:
    """Return all workflows that the installed applications declare."""
    return dict(_declared)


def offer_configured() -> None:
    """Offer the workflows of the configuration file, or without a file all declared workflows.

    Raises:
        ConfigError: see `offer`; or, without a file, a workflow has required options.
    """
    runtime = RuntimeSettings.load()
    if runtime.WORKFLOWS_FILE is not None:
        offer(RuntimeConfig.load(runtime.WORKFLOWS_FILE, extra=runtime.EXTRA_WORKFLOWS))
    elif _declared:
        names: JsonObject = {name: {} for name in _declared}
        offer(RuntimeConfig(default=next(iter(names)), workflows=names))


def offer(config: RuntimeConfig) -> None:
    """Offer the configured workflows with their options. Called once at start.

    Raises:
        ConfigError: a workflow is not declared, or its options are invalid; the message names the
            line of the file.
    """
    offers = {}
    for name, entry in config.workflows.items():
        if entry.source is not None:
            _declare(config, name, *entry.source)
        if name not in _declared:
            raise config.error(
                ("workflows", name),
                f"no installed application declares a workflow {name!r}; declared are: "
                f"{', '.join(sorted(_declared)) or 'none'}",
            )
        model = _declared[name].options
        options = config.check(model, entry.options, ("workflows", name, "options"))
        offers[name] = OfferedWorkflow(_declared[name], entry, options)
    if config.default not in offers:
        raise config.error(
            ("default",), f"{config.default!r} is not among the workflows: {', '.join(offers)}"
        )
    _offered.clear()
    _offered.update(offers)
    _default[:] = [config.default]


def _declare(config: RuntimeConfig, name: str, source: type[WorkflowSource], entry: object) -> None:
    """Declare a workflow that comes from a `WorkflowSource`, and not from `@workflow`.

    Raises:
        ConfigError: the source rejects the entry, or has no such workflow.
    """
    at = ("workflows", name)
    checked_entry = config.check(source, entry, at)
    try:
        checked_entry.declare(name, config.folder)
    except ImproperlyConfigured as error:
        raise config.error((*at, source.key), str(error)) from error


def offered_workflows() -> list[OfferedWorkflow]:
    """Return the workflows offered here, the default one first."""
    return sorted(_offered.values(), key=lambda entry: entry.workflow.name not in _default)


def resolve(
    reference: "Workflow | OfferedWorkflow | str | None",
    config: WorkflowConfig | None,
    max_concurrency: int | None,
) -> OfferedWorkflow:
    """Return a workflow with its configuration; `config` and `max_concurrency` override the site's.

    The name of a workflow that is declared, but not offered by this site, is accepted, too.

    Raises:
        UnknownWorkflow: there is no workflow of that name.
        pydantic.ValidationError: the options in `config` are invalid for the workflow.
    """
    if isinstance(reference, OfferedWorkflow):
        offered_workflow, workflow = reference, reference.workflow
    elif isinstance(reference, Workflow):
        offered_workflow, workflow = None, reference
    elif reference in _declared and reference not in _offered:
        offered_workflow, workflow = None, _declared[reference]
    else:
        offered_workflow = get(reference)
        workflow = offered_workflow.workflow
    if config is None:
        config = offered_workflow.config if offered_workflow is not None else WorkflowConfig()
    options = (
        offered_workflow.options
        if offered_workflow is not None and config is offered_workflow.config
        else None
    )
    if max_concurrency is not None:
        config = config.model_copy(update={"max_concurrency": max_concurrency})
    return OfferedWorkflow(
        workflow, config, options or workflow.options.model_validate(config.options)
    )


def find(name: str) -> OfferedWorkflow | None:
    """Return the offered workflow of that name, or None."""
    return _offered.get(name)


def title_of(name: str) -> str:
    """Return the title of the offered workflow of that name, or the name if there is none."""
    offer = find(name)
    return offer.workflow.title if offer else name


def get(name: str | None = None) -> OfferedWorkflow:
    """Return the offered workflow of that name, or the default one.

    Raises:
        UnknownWorkflow: the workflow is not offered; the message lists the offered ones.
    """
    try:
        return _offered[name or _default[0]]
    except (KeyError, IndexError):
        raise UnknownWorkflow(name or "(default)", sorted(_offered)) from None
