"""The settings: one dict, `HITL`, in the project's settings. Every name has a default.

An application declares the names that it takes as a `Section`, and names that in its `AppConfig` as
`settings_section`. docs/install.md lists them all.
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
    # Never shown, also not where they are wrong.
    secrets: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def load(cls) -> Self:
        """Return the section with the project's values, and defaults for the rest.

        Raises:
            ImproperlyConfigured: a value cannot be used; says which, and what to write.
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
    # Offered beside those of the file, in its form.
    EXTRA_WORKFLOWS: dict[str, dict[str, Any]] = Field(default={}, description="a dict by name")
    PARK_AFTER: float = Field(default=60, ge=0, description="seconds, 0 or more, such as 60")
    # How long the code of a run may hold up the event loop, before the run is suspended.
    MAX_BLOCKING: float = Field(
        default=3, ge=0, description="seconds, such as 3, or 0 for any time"
    )
    # Of one run: how long it may work without people and sleeps, and how much it may put out.
    MAX_RUN_SECONDS: float = Field(default=86400, gt=0, description="seconds, such as 86400")
    # And for how long it may clean up once a person has stopped it.
    MAX_STOPPING: float = Field(default=30, ge=0, description="seconds, such as 30")
    # How many calls of its context a run may make: each is an entry of its journal.
    MAX_CALLS: int = Field(default=10_000, ge=1, description="a number, such as 10000")
    MAX_OUTPUT: int = Field(default=16 * 2**20, ge=1, description="characters, such as 16777216")
    KEEP_DAYS: int = Field(default=0, ge=0, description="days, or 0 to keep all conversations")
    # Of what happened to assigned prompts: longer than what they are about, or not.
    KEEP_AUDIT_DAYS: int = Field(default=0, ge=0, description="days, or 0 to keep the audit")
    # In characters, as JSON has them without its marks.
    MAX_STEP_RESULT: int = Field(default=4 * 1024**2, ge=1, description=CHARACTERS)
    MAX_SHOWN: int = Field(default=256 * 1024, ge=1, description=CHARACTERS)
    MAX_PROMPT: int = Field(default=256 * 1024, ge=1, description=CHARACTERS)
    MAX_PROMPTS_AT_ONCE: int = Field(default=100, ge=1, description="a number, such as 100")
    # Of files that people attach to a message: how many, how large, and which endings.
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
        """Refuse what is not a URL of a Redis; the error quotes nothing of the URL."""
        if not value:
            return value
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it must begin with redis://, rediss:// or unix://")
        # Only where it is used: the form of one process does without.
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
        """Return whether there are many processes: web processes, which host nothing, and
        workers.
        """
        return bool(self.REDIS_URL)


S = TypeVar("S", bound=Section)


def check() -> None:
    """Check all values of `HITL`, and that an installed application takes each of its names.

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
    """List the values that must be shown nowhere."""
    sections = [section.load() for section in _sections()]
    return [str(getattr(section, name)) for section in sections for name in section.secrets]


def sentence(section: type[BaseModel], problem: Any, secrets: frozenset[str]) -> str:
    """Say what is wrong, for people; `problem` is one of `ValidationError.errors()`."""
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # several names that do not go together; no value is shown
        return str(reason)
    name = str(problem["loc"][0])
    # What is wrong within a secret one is named by its place.
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
