"""The settings: one dict, `HITL`, in the project's settings. Every name has a default.

An application declares its settings as a `Section`, named by `settings_section` of the `AppConfig`.
docs/settings.md lists all settings, with their descriptions.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.crypto import salted_hmac
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

ENDINGS = (
    *("png", "jpg", "jpeg", "gif", "webp", "heic", "pdf", "txt", "md", "csv", "tsv", "json"),
    *("docx", "xlsx", "pptx", "odt", "ods", "odp", "mp3", "m4a", "wav"),
)


class Section(BaseModel):
    """A section of `HITL`: the names that one application takes.

    The first sentence of a field's description says what to write, and ends error messages. The
    whole description is in docs/settings.md; links in it are paths, such as docs/access.md.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    # Names of settings that are never shown, not even in errors.
    secrets: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def load(cls) -> Self:
        """Return the section with the project's values, and defaults for the rest.

        Raises:
            ImproperlyConfigured: a value is invalid; the message has the name and a valid form.
        """
        section: Self = _load(cls)
        return section


class RuntimeSettings(Section):
    """The settings of the runtime."""

    secrets = frozenset({"REDIS_URL"})

    REDIS_URL: str = Field(
        default="",
        description="the URL of a cluster's Redis, such as redis://redis.example:6379/0. Without "
        "it there is one process",
    )
    CHANNEL_LAYER: str = Field(
        default="default",
        description="an alias of CHANNEL_LAYERS, such as default. See "
        "docs/install.md#choose-a-channel-layer",
    )
    WORKFLOWS_FILE: Path | None = Field(
        default=None,
        description="the path of a YAML file with the workflows that are offered, and their "
        "options. Without it all are offered. See docs/writing-workflows.md",
    )
    EXTRA_WORKFLOWS: dict[str, dict[str, Any]] = Field(
        default={},
        description="a dict of workflows in addition to the file's, in the same form, such as "
        '{"report": {}}',
    )
    PARK_AFTER: float = Field(
        default=60,
        ge=0,
        description="seconds, 0 or more, after which a waiting run leaves memory",
    )
    MAX_BLOCKING: float = Field(
        default=3,
        ge=0,
        description="seconds for which a run may block the event loop, or 0 for any "
        "time. Then it is suspended: docs/operations.md#a-run-is-suspended",
    )
    MAX_RUN_SECONDS: float = Field(
        default=86400,
        gt=0,
        description="seconds for which a run may work. Then it fails "
        "(`TookTooLong`). Waits for people, sleeps and turns do not count; each replay counts anew",
    )
    MAX_STOPPING: float = Field(
        default=30,
        ge=0,
        description="seconds for which a run may clean up once a person has stopped it. Then "
        "it is ended",
    )
    MAX_CALLS: int = Field(
        default=10_000,
        ge=1,
        description="the number of context calls that a run may make, each a journal entry. "
        "Then it is suspended (`TooManyCalls`)",
    )
    RUNS_PER_USER: int = Field(
        default=1000,
        ge=0,
        description="the number of unfinished runs of one user, or 0 for no limit. Waiting runs "
        "and child runs count. It may be exceeded by 20 in each web process",
    )
    RUNS_PER_MESSAGE: int = Field(
        default=100,
        ge=0,
        description="the number of runs that one message may lead to, or 0 for no limit: children, "
        "theirs, and runs that a run or a receiver of its signals starts. Another one is refused "
        "(`TooManyRuns`)",
    )
    MAX_OUTPUT: int = Field(
        default=16 * 2**20,
        ge=1,
        description="characters that a run may put out. Then it fails (`TooLarge`)",
    )
    KEEP_DAYS: int = Field(
        default=0,
        ge=0,
        description="days after which a conversation without events is deleted, or 0 to keep all "
        "conversations. See docs/operations.md#deletion",
    )
    KEEP_AUDIT_DAYS: int = Field(
        default=0,
        ge=0,
        description="days after which entries of the audit of prompts are deleted, or 0 to keep "
        "the audit. Their conversations do not matter",
    )
    # The sizes below are in characters of JSON; quotes, brackets and commas are not counted.
    MAX_STEP_RESULT: int = Field(
        default=4 * 1024**2,
        ge=1,
        description="characters of JSON that a step's result, or all pieces of a stream, may "
        "have. Then the step fails (`TooLarge`). Each number, and each part of a "
        "list or object, counts as four more",
    )
    MAX_SHOWN: int = Field(
        default=256 * 1024,
        ge=1,
        description="characters that a step shows of its result. `context.show` "
        "of more raises `TooLarge`",
    )
    MAX_PROMPT: int = Field(
        default=256 * 1024,
        ge=1,
        description="characters that a prompt may have with its options and details. "
        "`ask` of more raises `TooLarge`",
    )
    MAX_PROMPTS_AT_ONCE: int = Field(
        default=100,
        ge=1,
        description="the number of prompts that one `ask_all`, or one answer of an agent's model, "
        "may ask. `ask_all` of more raises `TooLarge`, the model is told to call "
        "again, and a call of an MCP tool that asks more is given up",
    )
    MAX_FILES: int = Field(
        default=10,
        ge=0,
        le=100,
        description='the number of files of a message, or 0 to take none. `STORAGES["default"]` '
        "has them, which all processes must share",
    )
    MAX_FILE_MB: float = Field(default=10, gt=0, description="MiB that a file may have")
    FILES_MB_PER_USER: float = Field(
        default=1000,
        ge=0,
        description="MiB that all files of one user may have, or 0 for any number. The files of a "
        "deleted conversation count for another day",
    )
    FILE_TYPES: list[str] = Field(
        default=list(ENDINGS),
        description="the endings of files that people may attach, such as pdf and png",
    )
    CALLBACKS_URL: str = Field(
        default="",
        description="where other sites reach /callbacks/, such as https://site.example/callbacks/. "
        "Only `context.callback_url()` needs it",
    )
    HEALTH_URL: str = Field(
        default="",
        description="where this site answers /health, such as http://127.0.0.1:8000/health. "
        "`manage.py doctor` asks there",
    )

    @field_validator("FILE_TYPES")
    @classmethod
    def _without_dots(cls, value: list[str]) -> list[str]:
        return [extension.lower().removeprefix(".") for extension in value]

    @field_validator("REDIS_URL")
    @classmethod
    def _of_redis(cls, value: str) -> str:
        """Refuse an invalid Redis URL, without quoting the URL in the error."""
        if not value:
            return value
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it must begin with redis://, rediss:// or unix://")
        # Import late: a single process needs no Redis package.
        try:
            from redis import ConnectionPool  # noqa: PLC0415
        except ImportError:
            raise ValueError("pip install 'django-durable-hitl[cluster]' is missing") from None
        try:
            ConnectionPool.from_url(value)
        except ValueError:
            raise ValueError("its port, its database or an option cannot be read") from None
        return value

    @property
    def cluster(self) -> bool:
        """Return whether this is a cluster: workers, and web processes that host no runs."""
        return bool(self.REDIS_URL)


S = TypeVar("S", bound=Section)


def check() -> None:
    """Check all values of `HITL`, and that each name belongs to an installed application.

    Raises:
        ImproperlyConfigured: a value cannot be used, or a name is unknown.
    """
    names = {name for section in _sections() for name in section.model_fields}
    if unknown := sorted(_hitl().keys() - names):
        raise ImproperlyConfigured(
            f"HITL has no setting {unknown[0]!r}. There are: {', '.join(sorted(names))}."
        )
    for section in _sections():
        section.load()


def redis_prefix() -> str:
    """Return the beginning of this site's channels and keys in Redis, which sites may share.

    A site is a database and a SECRET_KEY. Redis does not separate channels by its database numbers.
    """
    name = str(settings.DATABASES["default"]["NAME"])
    return f"hitl.{salted_hmac('sessions_app.site', name, algorithm='sha256').hexdigest()[:16]}."


def secret_values() -> list[str]:
    """List the values that must never be shown."""
    sections = [section.load() for section in _sections()]
    return [str(getattr(section, name)) for section in sections for name in section.secrets]


def sentence(section: type[BaseModel], problem: Any, secrets: frozenset[str]) -> str:
    """Describe a problem, one of `ValidationError.errors()`, for people."""
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # several settings contradict each other: show no value
        return str(reason)
    name = str(problem["loc"][0])
    # For a problem within a secret value, show only the path to it, not the value.
    path = ".".join(map(str, problem["loc"]))
    setting = path if name in secrets else f"{name}={problem['input']}"
    return f"{setting} cannot be used ({reason}). Write {what_to_write(section, name)}."


def what_to_write(section: type[BaseModel], name: str) -> str:
    """Return the first sentence of a setting's description, which says what to write."""
    return str(section.model_fields[name].description).partition(". ")[0]


def _sections() -> list[type[Section]]:
    sections = [getattr(config, "settings_section", None) for config in apps.get_app_configs()]
    return [section for section in sections if section is not None]


def _hitl() -> dict[str, Any]:
    values = getattr(settings, "HITL", {})
    if not isinstance(values, dict):
        raise ImproperlyConfigured('HITL must be a dict, such as HITL = {"PARK_AFTER": 60}.')
    return values


@cache
def _load(section: type[S]) -> S:
    try:
        return section.model_validate(_hitl())
    except ValidationError as error:
        problems = [sentence(section, problem, section.secrets) for problem in error.errors()]
        raise ImproperlyConfigured("\n".join(f"HITL: {text}" for text in problems)) from None


def _forget_settings(*, setting: str, **_: object) -> None:
    if setting == "HITL":
        _load.cache_clear()


setting_changed.connect(_forget_settings)
