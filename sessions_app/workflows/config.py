"""The runtime's configuration: one YAML file, checked by pydantic; errors name file and line."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import yaml
from django.core.exceptions import ImproperlyConfigured
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from sessions_app.json_types import JsonObject
from sessions_app.workflows.sources import WorkflowSource, find_source, sources

DEFAULT_QUEUE = "default"
Policy = Literal["enqueue", "reject", "interrupt", "parallel"]
Location = tuple[int | str, ...]
EXAMPLE = (
    "Write the workflows that are offered, such as `default: shout` and `workflows: {shout: {}}`."
)
M = TypeVar("M", bound=BaseModel)


class ConfigError(ImproperlyConfigured):
    """The configuration file is wrong; the message names file and line."""


class WorkflowConfig(BaseModel):
    """The configuration with which a workflow is offered. Times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Limit of concurrent runs: per user if the workflow has a per-user builder, else for all users.
    # Waiting runs do not count, and active runs mostly await a model; hence the high default.
    max_concurrency: int = Field(default=64, ge=1)
    # Maximum of one user's runs within a limit for all users; by default half of that limit.
    max_concurrency_per_user: int | None = Field(default=None, ge=1)
    second_message: Policy | None = None
    # Seconds after which an idle user's builder is closed.
    per_user_idle: float = Field(default=3600, ge=0)
    # Job queue of the workers that host the workflow.
    queue: str = Field(default=DEFAULT_QUEUE, pattern=r"^[A-Za-z0-9_-]{1,50}$")
    # Access for members of one of these groups and for holders of the permission (`app.codename`).
    # Without both, the workflow is open to everybody.
    groups: list[str] = []
    permission: str | None = Field(default=None, pattern=r"^\w+\.\w+$")
    options: JsonObject = Field(default_factory=dict)

    _source: "tuple[type[WorkflowSource], JsonObject] | None" = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _take_source(cls, entry: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        """Separate the keys of a workflow source from the entry; `offer` checks these later."""
        source = find_source(entry) if isinstance(entry, dict) else None
        if source is None:
            return build(entry)
        keys = source.model_fields.keys() & entry.keys()
        config = build({key: value for key, value in entry.items() if key not in keys})
        return config.set_source(source, {key: entry[key] for key in keys})

    def set_source(self, source: type[WorkflowSource], entry: JsonObject) -> Self:
        """Store the class that declares the workflow, and its entry's keys for that class."""
        self._source = source, entry
        return self

    @property
    def source(self) -> "tuple[type[WorkflowSource], JsonObject] | None":
        """The class that declares the workflow, and its keys; None if declared by code."""
        return self._source

    @property
    def per_user(self) -> int | None:
        """The limit of one user's concurrent runs; None without a limit."""
        half = max(self.max_concurrency // 2, 1) if self.max_concurrency else None
        return self.max_concurrency_per_user or half

    @property
    def is_limited(self) -> bool:
        """True if only some people may use the workflow."""
        return bool(self.groups or self.permission)


class RuntimeConfig(BaseModel):
    """The whole file: which workflows are offered, and the default one of a new conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: str
    workflows: dict[str, WorkflowConfig] = Field(min_length=1)

    _path: str = PrivateAttr(default="WORKFLOWS_FILE (there is none)")
    _node: yaml.Node | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: Path, *, extra: JsonObject | None = None) -> "RuntimeConfig":
        """Read and check the file.

        Args:
            extra: further workflows, in the form of the file's entries.

        Raises:
            ConfigError: the file is missing or empty, is not YAML, has a key twice, or does not
                fit.
        """
        try:
            text = path.read_text(encoding="utf-8")
            node = yaml.compose(text, yaml.SafeLoader)
            content = yaml.safe_load(text)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}. WORKFLOWS_FILE names it.") from None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}, line {line}: it is not UTF-8. Save it as that.") from None
        except yaml.MarkedYAMLError as error:
            raise ConfigError(_syntax_error(path, text, error)) from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {error}") from None
        if node is None:
            raise ConfigError(f"{path}, line 1: it is empty. {EXAMPLE}")
        for key, first in _repeated_keys(node):
            line, before = key.start_mark.line + 1, first.start_mark.line + 1
            twice = f"{key.value!r} is here twice, in line {before} too. Keep one of them."
            raise ConfigError(f"{path}, line {line}: {twice}")
        entries = content.get("workflows") if isinstance(content, dict) else None
        if extra and entries is None and isinstance(content, dict):
            entries = {}
        if isinstance(entries, dict):  # an entry `name:` without a value is short for `name: {}`
            entries = {**(extra or {}), **entries}
            content["workflows"] = {name: entry or {} for name, entry in entries.items()}
        config = _validate(cls, content, path=str(path), node=node)
        return config.set_location(str(path), node)

    def set_location(self, path: str, node: yaml.Node | None) -> "RuntimeConfig":
        """Remember the origin of the configuration, for error messages."""
        self._path, self._node = path, node
        return self

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return Path(self._path).parent

    def check(self, model: type[M], content: object, at: Location) -> M:
        """Validate a part of the file by another pydantic model; `at` is its location there."""
        return _validate(model, content, path=self._path, node=self._node, at=at)

    def error(self, at: Location, message: str) -> ConfigError:
        """Build an error that names the line of a location in the file."""
        return ConfigError(_sentence(self._path, self._node, at, message))


def _syntax_error(path: Path, text: str, error: yaml.MarkedYAMLError) -> str:
    """Describe the place and the reason of a YAML syntax error."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return f"{path} is not YAML: {error}"
    line = "".join(text.splitlines()[mark.line : mark.line + 1])
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"{path}, line {mark.line + 1}: a tab is before {line.strip()!r}. Indent by spaces."
    return f"{path}, line {mark.line + 1}: it is not YAML: {error.problem or error.context}."


def _repeated_keys(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield each repeated key of a mapping with its first occurrence; YAML keeps the last."""
    nodes, seen = [node], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # skip a visited node, named by a YAML alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            first_keys: dict[object, yaml.Node] = {}
            for key, value in node.value:
                first = first_keys.setdefault(str(key.value), key)
                if first is not key:
                    yield key, first
                nodes.append(value)


def _validate(
    model: type[M], content: object, *, path: str, node: yaml.Node | None, at: Location = ()
) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        sentences = [
            _sentence(path, node, at + problem["loc"], _problem_text(model, problem))
            for problem in error.errors()
        ]
        raise ConfigError("\n".join(sentences)) from None


def _problem_text(model: type[BaseModel], problem: ErrorDetails) -> str:
    if problem["type"] != "extra_forbidden":
        return problem["msg"]
    keys = ", ".join(_keys(model, problem["loc"][:-1]))
    return f"there is no such key. Keys: {keys or 'none'}"


def _keys(annotation: Any, at: Location) -> Iterable[str]:
    """Return the permitted keys at a location in a nested pydantic model, for error messages.

    A part of the location is the name of a field, or a key of a dict.
    """
    for step in at:
        if _is_model(annotation):
            annotation = _annotations(annotation).get(str(step))
        else:
            annotation = next(reversed(get_args(annotation)), None)
    return _annotations(annotation) if _is_model(annotation) else ()


def _annotations(model: type[BaseModel]) -> dict[str, Any]:
    """Return the annotations of a model's fields by their keys in the file."""
    models = [model, *(sources() if issubclass(model, WorkflowConfig) else ())]
    fields = {name: field for one in models for name, field in one.model_fields.items()}
    aliases = {name: field.validation_alias for name, field in fields.items()}
    keys = {name: key if isinstance(key, str) else name for name, key in aliases.items()}
    return {keys[name]: field.annotation for name, field in fields.items()}


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _sentence(path: str, node: yaml.Node | None, at: Location, message: str) -> str:
    line = _line(node, at)
    return f"{path}, line {line}: {'.'.join(map(str, at)) or 'file'}: {message}"


def _line(node: yaml.Node | None, at: Location) -> int:
    """Return the line of the deepest part of the location that exists in the file."""
    if node is None:
        return 1
    line: int = node.start_mark.line + 1
    for step in at:
        if isinstance(node, yaml.MappingNode):
            matches = [(key, value) for key, value in node.value if key.value == str(step)]
            if not matches:
                return line
            line, node = matches[0][0].start_mark.line + 1, matches[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            return line
    return line
