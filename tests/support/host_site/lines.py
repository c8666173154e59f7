"""The lines of the matrix: settings of projects, and their expected results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PACKAGE = "tests.support.host_site"
DJANGO = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Line:
    """A setting, middleware or mount; `settings` is the text for the project's settings.py.

    `refused` is the id of the check that refuses it. Without one, all of the chat works.
    """

    name: str
    settings: str = ""
    refused: str = ""
    # True if the line needs a database with tables that other lines do not have.
    own_tables: bool = False
    # True if `replica.sqlite3` is a copy of the database, made anew once a second.
    has_replica: bool = False
    # Path prefix of all pages in the browser; the proxy removes the prefix.
    prefix: str = ""
    mount: str = "/assistant"
    mailed_mount: str = ""
    admin: str = "/admin"
    scheme: str = "http"
    host: str = ""
    # Headers that the proxy adds.
    headers: Mapping[str, str] = field(default_factory=dict)
    # Cookies by which another part of the site signs people in.
    cookies: Mapping[str, str] = field(default_factory=dict)
    server: Literal["daphne", "uvicorn"] = "daphne"
    options: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    serves_static: bool = True
    # True if the line is tested at each commit; the other lines are tested now and then.
    always: bool = False


def text(*lines: str) -> str:
    return "\n".join(lines)


def before(middleware: str) -> str:
    return f'MIDDLEWARE.insert(0, "{middleware}")'


def behind(middleware: str) -> str:
    return f'MIDDLEWARE.append("{middleware}")'


def apps(*names: str) -> str:
    return f"INSTALLED_APPS += {list(names)}"


def backends(*names: str) -> str:
    return f"AUTHENTICATION_BACKENDS = {list(names)}"


BY_LANGUAGE = text(
    "BY_LANGUAGE = True",
    'MIDDLEWARE.insert(2, "django.middleware.locale.LocaleMiddleware")',
    'LANGUAGES, LANGUAGE_CODE = [("en", "English"), ("de", "Deutsch")], "en"',
)
OTHER_DATABASE = text(
    'DATABASES["other"] = {**DATABASES["default"], "NAME": DATA / "other.sqlite3"}',
    'DATABASES["other"]["ATOMIC_REQUESTS"] = True',
    f'DATABASE_ROUTERS = ["{PACKAGE}.parts.Router"]',
)
REPLICA = text(
    'DATABASES["replica"] = {**DATABASES["default"], "NAME": DATA / "replica.sqlite3"}',
    f'DATABASE_ROUTERS = ["{PACKAGE}.parts.ReplicaRouter"]',
)
FROM_PRIMARY = 'DATABASE_ROUTERS.insert(0, "sessions_app.routers.PrimaryRouter")'
CACHALOT = apps("cachalot")
UNCACHED = 'CACHALOT_UNCACHABLE_APPS = ("chat_app", "hitl_notifications", "sessions_app")'
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
OWN_PARTS = text(
    'MIDDLEWARE.insert(2, "chat_app.identity.session_timeouts.session_timeouts")',
    'MIDDLEWARE.insert(3, "chat_app.page.settings.language.LanguageMiddleware")',
    backends("chat_app.identity.sign_in.PasswordThrottle", DJANGO),
)
SET_USER = behind(f"{PACKAGE}.parts.CookieUser")
SSO = text(SET_USER, f'ASGI_WRAPPER = "{PACKAGE}.parts.CookieSockets"')
LINES = (
    Line("the settings of `startproject`", always=True),
    # Requests
    Line("`ATOMIC_REQUESTS`", 'DATABASES["default"]["ATOMIC_REQUESTS"] = True', always=True),
    Line(
        "`LoginRequiredMiddleware`",
        behind("django.contrib.auth.middleware.LoginRequiredMiddleware"),
        always=True,
    ),
    Line("middleware that is not async", behind(f"{PACKAGE}.parts.sync_only")),
    Line("`GZipMiddleware`", before("django.middleware.gzip.GZipMiddleware")),
    Line("`ConditionalGetMiddleware`", before("django.middleware.http.ConditionalGetMiddleware")),
    Line("`APPEND_SLASH = False`", "APPEND_SLASH = False"),
    Line(
        "`handler404` and `handler500`",
        text("OWN_ERROR_PAGES = True", "DEBUG = False"),
        serves_static=False,
    ),
    Line(
        "`DEBUG = False` and named hosts",
        text("DEBUG = False", 'ALLOWED_HOSTS = ["127.0.0.1"]'),
        serves_static=False,
    ),
    Line(
        "low `DATA_UPLOAD_MAX_…`",
        "DATA_UPLOAD_MAX_MEMORY_SIZE, DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000, 20",
    ),
    # Mounts
    Line("the chat at the root of the site", 'CHAT_PATH = ""', mount=""),
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
    Line("the admin under another path", 'ADMIN_PATH = "office/"', admin="/office"),
    Line(
        "`SECURE_SSL_REDIRECT` behind a proxy",
        TLS,
        scheme="https",
        headers={"X-Forwarded-Proto": "https"},
    ),
    Line(
        "`USE_X_FORWARDED_HOST`",
        "USE_X_FORWARDED_HOST = True",
        host="site.example",
        headers={"X-Forwarded-Host": "site.example"},
    ),
    Line("`PREPEND_WWW`", "PREPEND_WWW = True", host="www.site.example"),
    # People and sessions
    Line(
        "users with a UUID as their key",
        text(apps(f"{PACKAGE}.uuid_people"), 'AUTH_USER_MODEL = "uuid_people.Person"'),
        own_tables=True,
    ),
    Line(
        "users who sign in by e-mail",
        text(apps(f"{PACKAGE}.mail_people"), 'AUTH_USER_MODEL = "mail_people.Person"'),
        own_tables=True,
    ),
    Line(
        "several `AUTHENTICATION_BACKENDS`",
        backends("django.contrib.auth.backends.RemoteUserBackend", DJANGO),
    ),
    Line("a middleware that sets `request.user`", SSO, cookies={"sso": "ann"}, always=True),
    Line("`LOGIN_URL` as a path", 'LOGIN_URL = "/accounts/login/"'),
    Line("`CSRF_USE_SESSIONS`", "CSRF_USE_SESSIONS = True"),
    Line("`CSRF_COOKIE_HTTPONLY`", "CSRF_COOKIE_HTTPONLY = True"),
    Line(
        "`SESSION_COOKIE_NAME` and `CSRF_COOKIE_NAME`",
        'SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "host-session", "host-csrf"',
    ),
    Line(
        "sessions in signed cookies",
        'SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"',
    ),
    Line("sessions in a cache", 'SESSION_ENGINE = "django.contrib.sessions.backends.cache"'),
    Line(
        "sessions in files",
        text(
            'SESSION_ENGINE = "django.contrib.sessions.backends.file"', "SESSION_FILE_PATH = DATA"
        ),
    ),
    Line("the chat's own middlewares and backend", OWN_PARTS),
    Line("`SESSION_SAVE_EVERY_REQUEST`", "SESSION_SAVE_EVERY_REQUEST = True"),
    Line("`SECRET_KEY_FALLBACKS`", 'SECRET_KEY_FALLBACKS = ["an-older-one-" + "x" * 50]'),
    # Databases
    Line("a second database with a router", OTHER_DATABASE, own_tables=True),
    Line("a router that reads from a replica", REPLICA, refused="sessions_app.E107"),
    Line(
        "a replica that lags by a second, and the `PrimaryRouter`",
        text(REPLICA, FROM_PRIMARY),
        has_replica=True,
    ),
    Line("django-cachalot", CACHALOT, refused="sessions_app.E107"),
    Line(
        "django-cachalot with `CACHALOT_UNCACHABLE_APPS`",
        text(CACHALOT, UNCACHED),
    ),
    Line(
        "`CONN_MAX_AGE`",
        'DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}',
    ),
    Line("`DEFAULT_AUTO_FIELD`", 'DEFAULT_AUTO_FIELD = "django.db.models.AutoField"'),
    # Languages and times
    Line("`USE_TZ = False`", "USE_TZ = False", refused="sessions_app.E107"),
    Line("`TIME_ZONE`", 'TIME_ZONE = "Australia/Lord_Howe"'),
    Line("`USE_I18N = False`", "USE_I18N = False"),
    Line("`USE_THOUSAND_SEPARATOR`", "USE_THOUSAND_SEPARATOR = True"),
    Line('`LANGUAGE_CODE = "de"`', 'LANGUAGE_CODE = "de"'),
    Line('`LANGUAGE_CODE = "ar"`', 'LANGUAGE_CODE = "ar"'),
    # Pages
    Line(
        "`string_if_invalid`",
        'TEMPLATES[0]["OPTIONS"]["string_if_invalid"] = "INVALID %s"',
        refused="chat_app.E003",
    ),
    Line(
        "no `context_processors.request`",
        'TEMPLATES[0]["OPTIONS"]["context_processors"].remove('
        '"django.template.context_processors.request")',
        refused="chat_app.E004",
    ),
    Line(
        "Jinja2 as the first of `TEMPLATES`",
        'TEMPLATES.insert(0, {"BACKEND": "django.template.backends.jinja2.Jinja2"})',
    ),
    Line("the cached loader of templates", CACHED_LOADER),
    Line("`X_FRAME_OPTIONS`", 'X_FRAME_OPTIONS = "SAMEORIGIN"'),
    Line(
        "`STATIC_URL` of another host",
        'STATIC_URL = "https://cdn.example/static/"',
        serves_static=False,
    ),
    Line("`STORAGES` at another site, as S3's", REMOTE, serves_static=False),
    # Packages
    Line(
        "django-csp",
        text(
            apps("csp"),
            before("csp.middleware.CSPMiddleware"),
            """CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"default-src": ["'self'"]}}""",
        ),
    ),
    Line(
        "WhiteNoise",
        text(
            'MIDDLEWARE.insert(1, "whitenoise.middleware.WhiteNoiseMiddleware")',
            "WHITENOISE_USE_FINDERS, WHITENOISE_AUTOREFRESH, DEBUG = True, True, False",
        ),
    ),
    Line(
        "django-debug-toolbar",
        text(
            apps("debug_toolbar"),
            'INTERNAL_IPS = ["127.0.0.1"]',
            before("debug_toolbar.middleware.DebugToolbarMiddleware"),
        ),
    ),
    Line(
        "django-allauth",
        text(
            apps("allauth", "allauth.account"),
            backends(DJANGO, "allauth.account.auth_backends.AuthenticationBackend"),
            'ACCOUNT_URLS = "allauth.urls"',
            'LOGIN_URL, ACCOUNT_EMAIL_VERIFICATION = "account_login", "none"',
            behind("allauth.account.middleware.AccountMiddleware"),
        ),
        own_tables=True,
    ),
    Line(
        "django-guardian",
        text(apps("guardian"), backends(DJANGO, "guardian.backends.ObjectPermissionBackend")),
        own_tables=True,
    ),
    Line(
        "django-cors-headers",
        text(
            apps("corsheaders"),
            'CORS_ALLOWED_ORIGINS = ["https://ui.example"]',
            before("corsheaders.middleware.CorsMiddleware"),
        ),
    ),
    # Processes
    Line("`python -OO`", refused="sessions_app.E107", python=("-OO",)),
    Line(
        "a locale that is not UTF-8",
        environment={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ),
)
