"""The settings from the environment, or from a `.env` file in the project root.

Each field's description names a valid value, and is shown when a value is wrong. All are in
docs/settings.md.
"""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import from_json
from pydantic_settings import BaseSettings, SettingsConfigDict

from chat_app.contrib.notifications.settings import NotificationSettings
from chat_app.contrib.oauth.settings import OAuthSettings
from chat_app.settings import YES_NO, ChatSettings, check_origins
from natproject.serving import EVERY_ADDRESS, host_in_url
from sessions_app.json_types import JsonObject
from sessions_app.settings import RuntimeSettings, sentence, what_to_write
from sessions_app.storage.databases import check_postgresql_url

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = (RuntimeSettings, ChatSettings, NotificationSettings, OAuthSettings)
# Names of settings that are secret, or are URLs with passwords.
SECRETS = frozenset({"SECRET_KEY", "DATABASE_URL", "OPENAI_API_KEY"}).union(
    *(section.secrets for section in SECTIONS)
)


class Env(BaseSettings, RuntimeSettings, ChatSettings, NotificationSettings, OAuthSettings):
    """The settings a deployment chooses, those of `HITL` among them."""

    model_config = SettingsConfigDict(
        # ENV_FILE names a different file; the tests use none.
        env_file=os.environ.get("ENV_FILE", ROOT / ".env"),
        # Treat empty variables as unset, so that `PORT= make run` works.
        env_ignore_empty=True,
        enable_decoding=False,  # lists are separated by commas, not written in JSON
        validate_default=False,
    )

    DEBUG: bool = Field(
        default=False,
        description=f"{YES_NO}. Shows Django's error pages: not where others can reach it",
    )
    SECRET_KEY: str = Field(
        default="",
        description="a long random text (one process may leave it out and have one made). It signs "
        "cookies and links",
    )
    DATA_DIR: Path = Field(
        default=ROOT / "var",
        description="a directory that can be written. It has the database, the secret key and "
        "files of one process",
    )
    FILES_DIR: Path | None = Field(
        default=None,
        description="a directory that all processes share, for what people attach. One process "
        "takes `DATA_DIR/files`; several take no files without it",
    )
    DATABASE_URL: str = Field(
        default="",
        description="a PostgreSQL URL, such as postgresql://chat:secret@db.example:5432/chat. With "
        "`REDIS_URL` it chooses the cluster: docs/deployment.md",
    )
    HOST: str = Field(
        default="127.0.0.1",
        description="an address of this machine, such as 127.0.0.1. The server listens there; "
        "0.0.0.0 is every address",
    )
    PORT: int = Field(
        default=8000, ge=1, le=65535, description="a number from 1 to 65535, such as 8000"
    )
    HTTPS: bool = Field(
        default=False,
        description=f"{YES_NO}. True behind a proxy that ends TLS: only HTTPS is served. See "
        "docs/deployment.md#put-a-proxy-in-front",
    )
    HSTS_SECONDS: int = Field(
        default=365 * 24 * 3600,
        ge=0,
        description="seconds, or 0 for no such header. For so long browsers come by HTTPS alone, "
        "to this host and those below it",
    )
    PUBLIC_URL: str = Field(
        default="",
        description="the address that people type, such as https://chat.example.org. Without "
        "it links begin with the first of `ALLOWED_HOSTS`, if `HTTPS` is true. Else sign-in links "
        "begin with `HOST` and `PORT`, and mails and webhooks cannot be sent",
    )
    ALLOWED_HOSTS: list[str] = Field(
        default=[],
        description="host names with commas between them. Without them this machine's and `HOST`",
    )
    CSRF_TRUSTED_ORIGINS: list[str] = Field(
        default=[],
        description="origins with commas between them, such as https://chat.example.org. Their "
        "pages may post and open sockets",
    )
    WORKFLOWS_FILE: Path = Field(
        default=ROOT / "natproject" / "workflows.yaml", description="the path of a YAML file"
    )
    OPENAI_BASE_URL: str = Field(
        default="",
        description="where a model is served, such as http://127.0.0.1:11434/v1. Any endpoint of "
        "OpenAI's form",
    )
    OPENAI_API_KEY: str = Field(default="", description="the key of whoever serves the model")
    OPENAI_MODEL: str = Field(
        default="",
        description="the name of a model. The workflow `assistant` asks it; without it a script "
        "plays the model",
    )
    EXAMPLE_AGENTS: bool = Field(
        default=False,
        description=f"{YES_NO}. Offers the example agents of Pydantic AI, LangGraph and MCP, whose "
        "packages `make dev` installs",
    )
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="WARNING", description="DEBUG, INFO, WARNING, ERROR or CRITICAL. Logs go to stderr"
    )

    @field_validator(
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "ALLOWED_ORIGINS",
        "IMAGE_ORIGINS",
        "JWT_AUDIENCE",
        "JWT_ALGORITHMS",
        "FILE_TYPES",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [item for part in value.split(",") if (item := part.strip())]
        return value

    @field_validator("BRAND", "OAUTH_PROVIDERS", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        return from_json(value) if isinstance(value, str) else value

    @field_validator("DATA_DIR", "FILES_DIR")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        try:
            return value.expanduser().absolute()
        except RuntimeError as error:  # the user of "~name" does not exist
            raise ValueError(str(error)) from error

    @field_validator("CSRF_TRUSTED_ORIGINS")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        return check_origins(value)

    @field_validator("DATABASE_URL")
    @classmethod
    def _of_postgresql(cls, value: str) -> str:
        if value:
            check_postgresql_url(value)
        return value

    @field_validator("LOG_LEVEL", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _cluster_is_complete(self) -> Self:
        if bool(self.DATABASE_URL) != bool(self.REDIS_URL):
            present, missing = ("DATABASE_URL", "REDIS_URL")
            if self.REDIS_URL:
                present, missing = missing, present
            raise ValueError(
                f"{present} is set, and {missing} is not. More than one process needs both: write "
                f"{what_to_write(Env, missing)}. One process needs neither."
            )
        if self.DATABASE_URL and not self.SECRET_KEY:
            raise ValueError(
                "SECRET_KEY is missing. The processes of a cluster must share one, or each would "
                "refuse what another has signed. Make one, and give it to all of them: "
                "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
            )
        return self

    @property
    def known_url(self) -> str:
        """The public address of the site, if configured; else empty."""
        names = [name for name in self.ALLOWED_HOSTS if not name.startswith(("*", "."))]
        return self.PUBLIC_URL or (f"https://{names[0]}" if self.HTTPS and names else "")

    @property
    def public_url(self) -> str:
        """The address for people, by default the listening one, without a final slash."""
        host = host_in_url(EVERY_ADDRESS.get(self.HOST, self.HOST))
        return self.known_url or f"http://{host}:{self.PORT}"

    @property
    def hitl(self) -> JsonObject:
        """The explicitly set settings of the applications."""
        fields = {name for section in SECTIONS for name in section.model_fields}
        names = (self.model_fields_set | {"WORKFLOWS_FILE"}) & fields
        return {name: getattr(self, name) for name in names}


def load() -> Env:
    """Read the environment; wrong values end the process with a sentence about each."""
    try:
        env = Env()
        if not env.DATABASE_URL:  # else no directory is needed: nothing is stored in DATA_DIR
            env.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_key = env.SECRET_KEY or load_secret(env.DATA_DIR)
    except ValidationError as error:
        raise SystemExit(
            "\n".join(sentence(Env, problem, SECRETS) for problem in error.errors())
        ) from None
    except OSError as error:
        raise SystemExit(
            f"DATA_DIR: {error.strerror}: {error.filename or env.DATA_DIR}. "
            f"Write {what_to_write(Env, 'DATA_DIR')}, and has room on its disk."
        ) from None
    return env.model_copy(update={"SECRET_KEY": secret_key})


def load_secret(data_dir: Path) -> str:
    """Return the secret stored in `data_dir`, created on the first call.

    A complete file is linked into place, so that two processes starting together read one secret.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / "secret_key"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=data_dir) as file:  # created with mode 0600
            file.write(secrets.token_urlsafe(50))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text()
