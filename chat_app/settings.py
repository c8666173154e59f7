"""The chat's section of the project's `HITL` settings."""

import re
from functools import cache
from typing import Annotated, NamedTuple, Self

from django.urls import get_script_prefix, reverse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from sessions_app.settings import Section

YES_NO = "true or false"
SHARED_SECRET = ("HS256", "HS384", "HS512")
JWT_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", *SHARED_SECRET),
)
SHORTEST_SECRET = 32  # minimum length of a shared secret in bytes

ORIGIN = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?")
SECONDS_BY_UNIT = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
RATE = re.compile(rf"([1-9][0-9]{{0,8}})/({'|'.join(SECONDS_BY_UNIT)})")


class PerTime(NamedTuple):
    """A rate: an amount per number of seconds."""

    amount: int
    seconds: int


def rate(default: str, limited: str) -> str:
    """Declare a setting for a rate limit; its description names the `limited` things."""
    field: str = Field(
        default=default,
        pattern=rf"^({RATE.pattern}|none)$",
        description=f"a rate of {limited}, such as {default}, or none",
    )
    return field


def check_origins(value: list[str]) -> list[str]:
    """Return origins without a trailing slash, as browsers send them.

    Raises:
        ValueError: an origin does not begin with http:// or https://.
    """
    if bad := [origin for origin in value if not origin.startswith(("http://", "https://"))]:
        raise ValueError(f"{bad[0]} must begin with http:// or https://")
    return [origin.rstrip("/") for origin in value]


def _check_web_address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("it must begin with http:// or https://")
    return value


# Type of a setting: a URL, or empty.
WebAddress = Annotated[str, AfterValidator(_check_web_address)]


class Brand(BaseModel):
    """The name, the mark and the colour that the pages have in place of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", max_length=60)
    # Sentence about the site, shown on the sign-in page.
    about: str = Field(default="", max_length=200)
    # Paths of static files. `mark` is the site's logo, and the icon of the browser's tab;
    # `mark_needs_you` is the icon of the tab while questions wait.
    mark: str = ""
    mark_needs_you: str = ""
    accent: str = Field(default="", pattern=r"^(#[0-9a-fA-F]{6})?$")

    @property
    def icon(self) -> str:
        """The path of the static file for the icon of the browser's tab."""
        return self.mark or "chat_app/icon.svg"

    @property
    def icon_needs_you(self) -> str:
        """The path of the static file for the icon of the browser's tab while questions wait."""
        return self.mark_needs_you or self.mark or "chat_app/icon-needs-you.svg"


class SiteSettings(Section):
    """The settings of the site's address: a base class for each section that needs links."""

    PUBLIC_URL: str = Field(
        default="",
        description="what addresses in mails begin with, such as https://chat.example.org. Those "
        "in webhooks and prompts for consent do, too. It ends with the path of the site, if there "
        "is one: docs/install.md#settings-and-packages-that-were-tried",
    )

    @field_validator("PUBLIC_URL")
    @classmethod
    def _origin(cls, value: str) -> str:
        return check_origins([value])[0] if value else value

    @property
    def known_url(self) -> str:
        """The URL at which people reach the site, if known."""
        return self.PUBLIC_URL

    def prefix_problem(self, prefix: str) -> str:
        """Return an error text if PUBLIC_URL lacks the path prefix of all pages, else "".

        Links outside of pages, as in mails, are made without a request, which would tell the
        prefix.
        """
        url = self.known_url
        if not url or url.endswith(prefix):
            return ""
        return (
            f"Links outside of pages lead nowhere: PUBLIC_URL is {url}, and all pages are "
            f"below {prefix}. Set PUBLIC_URL to {url}{prefix}."
        )

    def public_link(self, name: str, *args: object) -> str:
        """Return the absolute URL of a page, for mails and other sites.

        PUBLIC_URL contains the prefix that a proxy removes, so a prefix from the request is not
        added again.
        """
        path = reverse(name, args=args).removeprefix(get_script_prefix())
        return f"{self.known_url}/{path}"


class ChatSettings(SiteSettings):
    """The settings of who may come in without Django's sign-in, and of the page in its site."""

    secrets = frozenset({"JWT_KEY"})

    ALLOWED_ORIGINS: list[str] = Field(
        default=[],
        description="other origins, such as https://ui.example.org. Their "
        "pages may open sockets, as those of `CSRF_TRUSTED_ORIGINS` may, and be guests over HTTP; "
        "they may not send this site's forms",
    )
    IMAGE_ORIGINS: list[str] = Field(
        default=[],
        description="origins, such as https://img.example.org. Answers "
        "show their images; any other image is a link. Such a host learns who reads, and what a "
        "model writes into the address. Add them to `img-src` of your content security policy",
    )
    SESSION_IDLE_TIMEOUT: float = Field(
        default=12 * 3600,
        ge=0,
        description="seconds without an action of its person after which a session ends, or 0 for "
        "no such end. This and the next need a middleware: docs/access.md#session-length",
    )
    SESSION_ABSOLUTE_TIMEOUT: float = Field(
        default=7 * 24 * 3600,
        ge=0,
        description="seconds after which a session ends in any case, or 0 for no such end",
    )
    GUESTS: bool = Field(
        default=False,
        description=f"{YES_NO}. Lets clients in with a token of their own, without a password: "
        "docs/access.md#guests",
    )
    JWT_KEY: str = Field(
        default="",
        description="the key that signs tokens: PEM or a secret. A PEM public key may be on one "
        r"line with `\n`; a secret has 32 bytes or more. See docs/access.md#json-web-tokens",
    )
    JWT_JWKS_URL: WebAddress = Field(
        default="",
        description="the URL of a JSON Web Key Set: the issuer's, in place of `JWT_KEY`. It is "
        "fetched within 5 s and has at most 1 MiB, else tokens are refused",
    )
    JWT_AUDIENCE: list[str] = Field(
        default=[],
        description="the audience of tokens, such as https://chat.example.org. One of the two "
        "above needs it",
    )
    JWT_ISSUER: str = Field(default="", description="the issuer that tokens must have")
    JWT_ALGORITHMS: list[str] = Field(
        default=["RS256"],
        description=f"some of {', '.join(JWT_ALGORITHMS)}. A shared secret needs HS256",
    )
    JWT_USERNAME_CLAIM: str = Field(
        default="sub",
        description="the claim of a token that is the user's name, such as sub. It is compared "
        "with `USERNAME_FIELD`",
    )
    JWT_CREATE_USERS: bool = Field(
        default=False,
        description=f"{YES_NO}. Creates users that do not exist, in place of refusing their tokens",
    )
    API_DOCS_PUBLIC: bool = Field(
        default=False,
        description=f"{YES_NO}. Shows `docs` and `openapi.json` of the HTTP interface to people "
        "who are not signed in, too",
    )
    BASE_TEMPLATE: str = Field(
        default="chat_app/base.html",
        description="the name of a template with the page's blocks. The pages extend it: "
        "docs/look.md#your-templates",
    )
    BRAND: Brand = Field(
        default={},
        validate_default=True,
        description='a dict such as {"name": "Acme", "mark": "acme/mark.svg", "accent": "#6b21a8"}'
        ". The name, mark and colour of the pages: docs/look.md",
    )
    PASSWORD_URL: str = Field(
        default="",
        description="a URL or the name of one, where people change their password. The page links "
        "it",
    )
    SIGN_OUT_URL: str = Field(
        default="",
        description="a URL or the name of one, that takes a POST to sign out. The page has a "
        "button for it",
    )
    UNREAD_MB: int = Field(
        default=128,
        ge=1,
        description="MiB, 1 or more, that a web process keeps for sockets whose clients do not "
        "read. Beyond it some are closed: docs/limits.md#sockets-that-do-not-read",
    )
    UNREAD_MB_PER_USER: int = Field(
        default=32,
        ge=1,
        description="MiB, 1 or more, that it keeps for the sockets of one user",
    )
    SWEEP_SECONDS: float = Field(
        default=3,
        gt=0,
        le=30,
        description="seconds, 30 at most, between two looks of a web process for events whose news "
        "was lost",
    )

    PROXIES: int = Field(
        default=0,
        ge=0,
        le=10,
        description="how many proxies a request comes through, such as 1. Each adds to "
        "`X-Forwarded-For`, where a request's address is read. With 0 the header is not believed",
    )
    RATE_PASSWORDS: str = rate("20/hour", "wrong passwords for one user from one address")
    RATE_PASSWORDS_USER: str = rate("100/hour", "wrong passwords for one user, from everywhere")
    RATE_PASSWORDS_ADDRESS: str = rate("200/hour", "wrong passwords from one address")
    RATE_GUESTS_ADDRESS: str = rate("60/hour", "new guests from one address")
    RATE_MESSAGES_USER: str = rate("300/minute", "messages of one user")
    RATE_MESSAGES_ADDRESS: str = rate("3000/minute", "messages from one address")
    RATE_BYTES_USER: str = rate(
        "30000000/minute", "bytes of one user's socket frames and HTTP bodies"
    )
    RATE_CONVERSATIONS_USER: str = rate("1000/hour", "new conversations of one user")
    RATE_CONVERSATIONS_ADDRESS: str = rate("10000/hour", "new conversations from one address")
    RATE_CLAIMS_USER: str = rate(
        "300/minute", "claims, releases and reassignments of prompts by one user"
    )
    RATE_API_USER: str = rate("600/minute", "HTTP requests of one user")
    RATE_API_ADDRESS: str = rate("6000/minute", "HTTP requests from one address")
    SOCKETS_PER_USER: int = Field(
        default=100,
        ge=1,
        description="the number of sockets of one user in a web process",
    )
    SOCKETS_PER_ADDRESS: int = Field(
        default=1000,
        ge=1,
        description="the number of sockets from one address in a web process",
    )
    STREAMS_PER_USER: int = Field(
        default=50,
        ge=1,
        description="the number of one user's requests in a web process that wait for a run, "
        "stream or download",
    )
    STREAMS_PER_ADDRESS: int = Field(
        default=500, ge=1, description="the number of such requests from one address"
    )

    @field_validator("ALLOWED_ORIGINS")
    @classmethod
    def _with_scheme(cls, value: list[str]) -> list[str]:
        return check_origins(value)

    @field_validator("IMAGE_ORIGINS")
    @classmethod
    def _nothing_else(cls, value: list[str]) -> list[str]:
        if bad := [origin for origin in value if not ORIGIN.fullmatch(origin)]:
            raise ValueError(f"{bad[0]} is not an origin: scheme, host and port, without a path")
        return value

    @field_validator("JWT_KEY")
    @classmethod
    def _with_line_ends(cls, value: str) -> str:
        return value.replace("\\n", "\n")  # a PEM key may be written in one line, with \n

    @field_validator("JWT_ALGORITHMS")
    @classmethod
    def _check_algorithms(cls, value: list[str]) -> list[str]:
        if unknown := [name for name in value if name not in JWT_ALGORITHMS]:
            raise ValueError(f"{unknown[0]} is not offered")
        return value

    @model_validator(mode="after")
    def _jwt_is_complete(self) -> Self:
        if self.takes_jwt:
            _check_jwt(self)
        elif self.JWT_AUDIENCE or self.JWT_ISSUER or self.JWT_CREATE_USERS:
            raise ValueError(
                "JWT_KEY or JWT_JWKS_URL is missing: without one of them no token can be checked."
            )
        return self

    @property
    def takes_jwt(self) -> bool:
        """True if there is a key, or a key set, to check tokens with."""
        return bool(self.JWT_KEY or self.JWT_JWKS_URL)


@cache
def per_time(value: str) -> PerTime | None:
    """Parse a rate such as 300/minute; return None for `none`, which means no limit."""
    match = RATE.fullmatch(value)
    return PerTime(int(match[1]), SECONDS_BY_UNIT[match[2]]) if match else None


def _check_jwt(chat: ChatSettings) -> None:
    """Raise ValueError if tokens could not be checked, or could be forged by anybody."""
    symmetric_algorithms = [name for name in chat.JWT_ALGORITHMS if name in SHARED_SECRET]
    if chat.JWT_KEY and chat.JWT_JWKS_URL:
        raise ValueError("JWT_KEY and JWT_JWKS_URL are both set. Keep one of them.")
    if not chat.JWT_AUDIENCE:
        raise ValueError(
            "JWT_AUDIENCE is missing: set the audience of this site's tokens, or tokens for "
            "any other site of the issuer would be accepted here."
        )
    if not chat.JWT_ALGORITHMS:
        raise ValueError("JWT_ALGORITHMS is empty. Write the one that tokens are signed with.")
    if not symmetric_algorithms:
        if chat.JWT_KEY and "-----BEGIN" not in chat.JWT_KEY:
            raise ValueError(
                "JWT_KEY is not a PEM public key. For a shared secret write JWT_ALGORITHMS=HS256."
            )
    elif (
        len(symmetric_algorithms) < len(chat.JWT_ALGORITHMS)
        or "-----BEGIN" in chat.JWT_KEY
        or chat.JWT_JWKS_URL
    ):
        raise ValueError(
            f"JWT_ALGORITHMS: {symmetric_algorithms[0]} is for a shared secret in JWT_KEY, and for "
            "nothing else: with a public key anybody could sign."
        )
    elif len(chat.JWT_KEY.encode()) < SHORTEST_SECRET:
        raise ValueError(f"JWT_KEY is too short for a secret: use {SHORTEST_SECRET} bytes or more.")
