"""What the environment, or a `.env` file in the project root, may set.

Each field's description says what to write; it is what a person reads when a value is wrong.
"""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from natproject import databases

ROOT = Path(__file__).resolve().parent.parent
YES_NO = "true or false"
CommaList = Annotated[list[str], NoDecode]
COMMA_LISTS = (
    "allowed_hosts",
    "csrf_trusted_origins",
    "allowed_origins",
    "jwt_audience",
    "jwt_algorithms",
)
SHARED_SECRET = ("HS256", "HS384", "HS512")
JWT_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", *SHARED_SECRET),
)
SHORTEST_SECRET = 32  # bytes
# Never shown, also not where they are wrong: the URLs have passwords in them.
SECRETS = ("secret_key", "database_url", "redis_url", "jwt_key")


class Env(BaseSettings):
    """The settings a deployment chooses. Names are those of the environment variables."""

    model_config = SettingsConfigDict(
        # ENV_FILE names another file; the tests use none.
        env_file=os.environ.get("ENV_FILE", ROOT / ".env"),
        extra="ignore",
        # An empty value means "not set": `PORT= make run` is not a mistake worth stopping for.
        env_ignore_empty=True,
    )

    debug: bool = Field(default=False, description=YES_NO)
    secret_key: str = Field(
        default="",
        description="a long random text (one process may leave it out and have one made)",
    )
    data_dir: Path = Field(default=ROOT / "var", description="a directory that can be written")
    database_url: str = Field(
        default="",
        description="a PostgreSQL URL, such as postgresql://chat:secret@db.example:5432/chat",
    )
    redis_url: str = Field(
        default="", description="a Redis URL, such as redis://redis.example:6379/0"
    )
    host: str = Field(
        default="127.0.0.1", description="an address of this machine, such as 127.0.0.1"
    )
    port: int = Field(
        default=8000, ge=1, le=65535, description="a number from 1 to 65535, such as 8000"
    )
    https: bool = Field(default=False, description=YES_NO)
    allowed_hosts: CommaList = Field(default=[], description="host names with commas between them")
    csrf_trusted_origins: CommaList = Field(
        default=[], description="origins with commas between them, such as https://chat.example.org"
    )
    allowed_origins: CommaList = Field(
        default=[], description="origins with commas between them, such as https://ui.example.org"
    )
    guests: bool = Field(default=False, description=YES_NO)
    jwt_key: str = Field(default="", description="the key that signs tokens: PEM or a secret")
    jwt_jwks_url: str = Field(default="", description="the URL of a JSON Web Key Set")
    jwt_audience: CommaList = Field(
        default=[], description="what tokens must be for, such as https://chat.example.org"
    )
    jwt_issuer: str = Field(default="", description="who must have issued tokens")
    jwt_algorithms: CommaList = Field(
        default=["RS256"], description=f"some of {', '.join(JWT_ALGORITHMS)}"
    )
    jwt_username_claim: str = Field(
        default="sub", description="the claim of a token that is the user's name, such as sub"
    )
    jwt_create_users: bool = Field(default=False, description=YES_NO)
    workflows_file: Path = Field(
        default=ROOT / "natproject" / "workflows.yaml", description="the path of a YAML file"
    )
    probe_workflow: bool = Field(default=False, description=YES_NO)
    park_after: float = Field(default=60, ge=0, description="seconds, 0 or more, such as 60")
    keep_days: int = Field(default=0, ge=0, description="days, or 0 to keep all conversations")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="WARNING", description="DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )

    @field_validator(*COMMA_LISTS, mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [item for part in value.split(",") if (item := part.strip())]
        return value

    @field_validator("csrf_trusted_origins", "allowed_origins")
    @classmethod
    def _with_scheme(cls, value: list[str]) -> list[str]:
        if bad := [origin for origin in value if not origin.startswith(("http://", "https://"))]:
            raise ValueError(f"{bad[0]} does not begin with http:// or https://")
        return value

    @field_validator("jwt_key")
    @classmethod
    def _with_line_ends(cls, value: str) -> str:
        return value.replace("\\n", "\n")  # a PEM key in one line

    @field_validator("jwt_jwks_url")
    @classmethod
    def _a_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("it does not begin with http:// or https://")
        return value

    @field_validator("database_url")
    @classmethod
    def _of_postgresql(cls, value: str) -> str:
        if value:
            databases.check_postgresql_url(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, value: str) -> str:
        if value:
            databases.check_redis_url(value)
        return value

    @field_validator("jwt_algorithms")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        if unknown := [name for name in value if name not in JWT_ALGORITHMS]:
            raise ValueError(f"{unknown[0]} is not offered")
        return value

    @model_validator(mode="after")
    def _cluster_is_complete(self) -> "Env":
        if bool(self.database_url) != bool(self.redis_url):
            there, missing = ("DATABASE_URL", "REDIS_URL")
            if self.redis_url:
                there, missing = missing, there
            field = Env.model_fields[missing.lower()].description
            raise ValueError(
                f"{there} is set, and {missing} is not. More than one process needs both: write "
                f"{field}. One process needs neither."
            )
        if self.database_url and not self.secret_key:
            raise ValueError(
                "SECRET_KEY is missing. The processes of a cluster must share one, or each would "
                "refuse what another has signed. Make one, and give it to all of them: "
                "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
            )
        return self

    @model_validator(mode="after")
    def _jwt_is_complete(self) -> "Env":
        if self.jwt_key or self.jwt_jwks_url:
            _check_jwt(self)
        elif self.jwt_audience or self.jwt_issuer or self.jwt_create_users:
            raise ValueError(
                "JWT_KEY or JWT_JWKS_URL is missing: without one of them no token can be checked."
            )
        return self

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


def load() -> Env:
    """Read the environment; a wrong value ends the process with a sentence for each one."""
    try:
        env = Env()
        env.data_dir = env.data_dir.expanduser().absolute()
        if not env.database_url:  # else nothing is kept there
            env.data_dir.mkdir(parents=True, exist_ok=True)
        env.secret_key = env.secret_key or kept_secret(env.data_dir)
    except ValidationError as error:
        raise SystemExit("\n".join(_sentence(details) for details in error.errors())) from None
    except OSError as error:
        raise SystemExit(
            f"DATA_DIR: {error.strerror}: {error.filename}. "
            f"Write {Env.model_fields['data_dir'].description}."
        ) from None
    return env


def kept_secret(data_dir: Path) -> str:
    """Return the secret kept in `data_dir`, made at the first call.

    It is linked into place whole, so that of two processes that start at once both read one secret.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "secret_key"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=data_dir) as file:  # mode 0600
            file.write(secrets.token_urlsafe(50))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text()


def _check_jwt(env: Env) -> None:
    """Raise ValueError if tokens could not be checked, or anybody could make one."""
    shared = [name for name in env.jwt_algorithms if name in SHARED_SECRET]
    if env.jwt_key and env.jwt_jwks_url:
        raise ValueError("JWT_KEY and JWT_JWKS_URL are both set. Keep one of them.")
    if not env.jwt_audience:
        raise ValueError(
            "JWT_AUDIENCE is missing: write what tokens for this site have as their audience, or "
            "those for any other site of the issuer would be taken here."
        )
    if not env.jwt_algorithms:
        raise ValueError("JWT_ALGORITHMS is empty. Write the one that tokens are signed with.")
    if not shared:
        if env.jwt_key and "-----BEGIN" not in env.jwt_key:
            raise ValueError(
                "JWT_KEY is no PEM public key. For a shared secret write JWT_ALGORITHMS=HS256."
            )
    elif len(shared) < len(env.jwt_algorithms) or "-----BEGIN" in env.jwt_key or env.jwt_jwks_url:
        raise ValueError(
            f"JWT_ALGORITHMS: {shared[0]} is for a shared secret in JWT_KEY, and for nothing else: "
            "with a public key anybody could sign."
        )
    elif len(env.jwt_key.encode()) < SHORTEST_SECRET:
        raise ValueError(f"JWT_KEY is too short for a secret: use {SHORTEST_SECRET} bytes or more.")


def _sentence(details: Any) -> str:
    if not details["loc"]:  # several fields that do not go together; no value is shown
        return str(details["msg"]).removeprefix("Value error, ")
    field = str(details["loc"][0])
    reason = details["msg"].removeprefix("Value error, ")
    what = Env.model_fields[field].description
    given = field.upper() if field in SECRETS else f"{field.upper()}={details['input']}"
    return f"{given} cannot be used ({reason}). Write {what}."
