"""The lines of the matrix: settings of projects, and what becomes of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PACKAGE = "tests.support.host_site"
DJANGO = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Line:
    """A setting, middleware or mount. `settings` is what a project writes into its settings.py.

    `refused` is the id of the check that refuses it; without one all of the chat works.
    """

    name: str
    settings: str = ""
    refused: str = ""
    # The tables are not those of the other lines.
    own_tables: bool = False
    # What stands before all paths as browsers see them; the proxy takes it away.
    prefix: str = ""
    mount: str = "/assistant"
    mailed_mount: str = ""
    admin: str = "/admin"
    scheme: str = "http"
    host: str = ""
    # What the proxy adds.
    headers: Mapping[str, str] = field(default_factory=dict)
    server: Literal["daphne", "uvicorn"] = "daphne"
    options: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    serves_static: bool = True
    # It runs at each commit, the others now and then.
    always: bool = False


def text(*lines: str) -> str:
    """Return lines of settings as one text."""
    return "\n".join(lines)


def urls(name: str) -> str:
    """Write that the project has other URLs."""
    return f'ROOT_URLCONF = "{PACKAGE}.{name}"'


def before(middleware: str) -> str:
    """Write that a middleware is the first."""
    return f'MIDDLEWARE.insert(0, "{middleware}")'


def behind(middleware: str) -> str:
    """Write that a middleware is the last."""
    return f'MIDDLEWARE.append("{middleware}")'


def apps(*names: str) -> str:
    """Write that more applications are installed."""
    return f"INSTALLED_APPS += {list(names)}"


def backends(*names: str) -> str:
    """Write what signs people in."""
    return f"AUTHENTICATION_BACKENDS = {list(names)}"


BY_LANGUAGE = text(
    urls("urls_by_language"),
    'MIDDLEWARE.insert(2, "django.middleware.locale.LocaleMiddleware")',
    'LANGUAGES, LANGUAGE_CODE = [("en", "English"), ("de", "Deutsch")], "en"',
)
OTHER_DATABASE = text(
    'DATABASES["other"] = {**DATABASES["default"], "NAME": DATA / "other.sqlite3"}',
    'DATABASES["other"]["ATOMIC_REQUESTS"] = True',
    f'DATABASE_ROUTERS = ["{PACKAGE}.parts.Router"]',
)
TLS = text(
    "SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True",
    'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")',
)
CACHED_LOADER = text(
    'loaders = "django.template.loaders"',
    'plain = [f"{loaders}.filesystem.Loader", f"{loaders}.app_directories.Loader"]',
    'TEMPLATES[0]["OPTIONS"]["loaders"] = [(f"{loaders}.cached.Loader", plain)]',
    'TEMPLATES[0]["APP_DIRS"] = False',
)
REMOTE = text(
    f'remote = {{"BACKEND": "{PACKAGE}.parts.RemoteStorage"}}',
    'STORAGES = {"default": remote, "staticfiles": remote}',
)
LINES = (
    Line("the settings of `startproject`", always=True),
    Line("`ATOMIC_REQUESTS`", 'DATABASES["default"]["ATOMIC_REQUESTS"] = True', always=True),
    Line(
        "`LoginRequiredMiddleware`",
        behind("django.contrib.auth.middleware.LoginRequiredMiddleware"),
        always=True,
    ),
    Line(
        "a path that a proxy takes away: `daphne --root-path`",
        prefix="/sub",
        options=("--root-path=/sub",),
        always=True,
    ),
    Line(
        "a path that a proxy takes away: `uvicorn --root-path`",
        prefix="/sub",
        server="uvicorn",
        options=("--root-path", "/sub"),
    ),
    Line(
        "a path that a proxy takes away: `FORCE_SCRIPT_NAME`",
        'FORCE_SCRIPT_NAME = "/sub"',
        prefix="/sub",
    ),
    Line(
        "`FORCE_SCRIPT_NAME`, and a `PUBLIC_URL` without it",
        text('FORCE_SCRIPT_NAME = "/sub"', 'HITL["PUBLIC_URL"] = "https://site.example"'),
        refused="chat_app.E002",
    ),
    Line("`i18n_patterns`, read in the language of the site", BY_LANGUAGE, mount="/en/assistant"),
    Line(
        "`i18n_patterns`, read in another language",
        BY_LANGUAGE,
        mount="/de/assistant",
        mailed_mount="/en/assistant",
        always=True,
    ),
    Line("`USE_TZ = False`", "USE_TZ = False", refused="sessions_app.E107"),
    Line(
        "`string_if_invalid`",
        'TEMPLATES[0]["OPTIONS"]["string_if_invalid"] = "INVALID %s"',
        refused="chat_app.E003",
    ),
    Line("`python -OO`", refused="sessions_app.E107", python=("-OO",)),
)
