"""The settings: one dict, `HITL`, in the project's settings. Every name has a default.

An application declares its settings as a `Section`, named by `settings_section` of the `AppConfig`.
docs/install.md lists all settings.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

ENDINGS = (
    *("png", "jpg", "jpeg", "gif", "webp", "heic", "pdf", "txt", "md", "csv", "tsv", "json"),
    *("docx", "xlsx", "pptx", "odt", "ods", "odp", "mp3", "m4a", "wav"),
)
CHARACTERS = "a number of characters, such as 262144"


class Section(BaseModel):
    """A section of `HITL`: the names that one application takes. A field's description says what to
    write.
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
        default="", description="a Redis URL, such as redis://redis.example:6379/0"
    )
    CHANNEL_LAYER: str = Field(
        default="default", description="an alias of CHANNEL_LAYERS, such as default"
    )
    WORKFLOWS_FILE: Path | None = Field(default=None, description="the path of a YAML file")
    # Workflows in addition to the file's, in the same form.
    EXTRA_WORKFLOWS: dict[str, dict[str, Any]] = Field(default={}, description="a dict by name")
    PARK_AFTER: float = Field(default=60, ge=0, description="seconds, 0 or more, such as 60")
    # Longest time that a run's code may block the event loop; then the run is suspended.
    MAX_BLOCKING: float = Field(
        default=3, ge=0, description="seconds, such as 3, or 0 for any time"
    )
    # Working time of one run, without waits for people and sleeps.
    MAX_RUN_SECONDS: float = Field(default=86400, gt=0, description="seconds, such as 86400")
    # Time for a run's cleanup after a person has stopped the run.
    MAX_STOPPING: float = Field(default=30, ge=0, description="seconds, such as 30")
    # Limit of a run's context calls, each of which is a journal entry; and of its output.
    MAX_CALLS: int = Field(default=10_000, ge=1, description="a number, such as 10000")
    MAX_OUTPUT: int = Field(default=16 * 2**20, ge=1, description="characters, such as 16777216")
    KEEP_DAYS: int = Field(default=0, ge=0, description="days, or 0 to keep all conversations")
    # Retention of the audit of assigned prompts, independent of the conversations' retention.
    KEEP_AUDIT_DAYS: int = Field(default=0, ge=0, description="days, or 0 to keep the audit")
    # Sizes in characters of JSON, without JSON's own punctuation.
    MAX_STEP_RESULT: int = Field(default=4 * 1024**2, ge=1, description=CHARACTERS)
    MAX_SHOWN: int = Field(default=256 * 1024, ge=1, description=CHARACTERS)
    MAX_PROMPT: int = Field(default=256 * 1024, ge=1, description=CHARACTERS)
    MAX_PROMPTS_AT_ONCE: int = Field(default=100, ge=1, description="a number, such as 100")
    # Files attached to a message: number, size, total size per user, and extensions.
    MAX_FILES: int = Field(default=10, ge=0, le=100, description="a number, or 0 to take none")
    MAX_FILE_MB: float = Field(default=10, gt=0, description="MiB, such as 10")
    FILES_MB_PER_USER: float = Field(default=1000, ge=0, description="MiB, or 0 for any number")
    FILE_TYPES: list[str] = Field(
        default=list(ENDINGS), description="endings with commas between them, such as pdf,png"
    )
    CALLBACKS_URL: str = Field(
        default="",
        description="where other sites reach /callbacks/, such as https://site.example/callbacks/",
    )
    HEALTH_URL: str = Field(
        default="",
        description="where this site answers /health, such as http://127.0.0.1:8000/health",
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
        """Return whether this is a cluster of workers, and web processes that host no runs."""
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


def secret_values() -> list[str]:
    """List the values that must never be shown."""
    sections = [section.load() for section in _sections()]
    return [str(getattr(section, name)) for section in sections for name in section.secrets]


def sentence(section: type[BaseModel], problem: Any, secrets: frozenset[str]) -> str:
    """Describe a problem, one of `ValidationError.errors()`, for people."""
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # names that contradict each other: show no value
        return str(reason)
    name = str(problem["loc"][0])
    # A problem within a secret value is identified by its path only.
    place = ".".join(map(str, problem["loc"]))
    setting = place if name in secrets else f"{name}={problem['input']}"
    field = section.model_fields[name]
    return f"{setting} cannot be used ({reason}). Write {field.description}."


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
