"""Django settings: choices of a deployment are in `env.py`, fixed values here."""

import sys
from datetime import timedelta

from servestatic.compress import Compressor

from natproject.serving import WEBSOCKET_MAX_SIZE, host_in_url
from natproject.settings.env import ROOT, load
from natproject.settings.logs import configure_logging
from natproject.settings.static_files import add_headers, are_collected
from sessions_app.storage import databases

environment = load()

DEBUG = environment.DEBUG
SECRET_KEY = environment.SECRET_KEY
DATA_DIR = environment.DATA_DIR
HOST = environment.HOST
PORT = environment.PORT
PUBLIC_URL = environment.public_url
ALLOWED_HOSTS = environment.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]", host_in_url(HOST)]
CSRF_TRUSTED_ORIGINS = environment.CSRF_TRUSTED_ORIGINS
# Model of the workflow `assistant`.
OPENAI_BASE_URL = environment.OPENAI_BASE_URL
OPENAI_API_KEY = environment.OPENAI_API_KEY
OPENAI_MODEL = environment.OPENAI_MODEL
# Agents of other frameworks; `make dev` installs the packages.
EXAMPLE_AGENTS = environment.EXAMPLE_AGENTS

# Settings of the applications, listed in docs/settings.md.
HITL = {
    "EXTRA_WORKFLOWS": {"shop_agent": {}, "refund_graph": {}, "travel": {}}
    if EXAMPLE_AGENTS
    else {},
    "CALLBACKS_URL": f"{PUBLIC_URL}/callbacks/",
    # Empty if PUBLIC_URL is not set: links then use the host of each request, and not HOST.
    "PUBLIC_URL": environment.known_url,
    "HEALTH_URL": f"http://{host_in_url(HOST)}:{PORT}/health",
    "SIGN_OUT_URL": "sign-out",
    "PASSWORD_URL": "password",
    "PROXIES": 1 if environment.HTTPS else 0,
    **environment.hitl,
}

INSTALLED_APPS = [
    # Extends daphne's `runserver`, so that static files are served as in production.
    "servestatic",
    # Installs Twisted's asyncio reactor, and so precedes all possible importers of Twisted.
    "daphne",
    "natproject.admin_site.Config",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "ninja",  # adds static files of the API documentation
    *(["procrastinate.contrib.django"] if environment.cluster else []),
    "sessions_app",
    "sessions_app.contrib.agents",
    "sessions_app.contrib.operations",
    "sessions_app.contrib.replay",
    "chat_app",
    "chat_app.contrib.notifications",
    "chat_app.contrib.oauth",
    "natproject",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "natproject.middleware.no_store",
    "natproject.middleware.compress_pages",
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "chat_app.identity.session_timeouts.session_timeouts",
    "chat_app.page.settings.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "natproject.urls"
CSRF_FAILURE_VIEW = "chat_app.page.error_pages.csrf_failure"
ASGI_APPLICATION = "natproject.asgi.application"
# Limits for runserver; `serve` passes the same limits to Daphne as flags.
DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = WEBSOCKET_MAX_SIZE
DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = WEBSOCKET_MAX_SIZE

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": databases.postgresql(environment.DATABASE_URL)
    if environment.cluster
    else {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        # Persistent connections leak under ASGI, because they belong to threads that come and go.
        "CONN_MAX_AGE": 0,
        # Use a file, not memory: the writer thread has a separate connection.
        "TEST": {"NAME": str(DATA_DIR / "test.sqlite3")},
    }
}
# Transport of channel-layer messages between processes, and to the sockets of each process.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "sessions_app.notify.layers.cluster.ClusterLayer",
        "CONFIG": {"url": environment.REDIS_URL},
    }
    if environment.cluster
    else {"BACKEND": "sessions_app.notify.layers.memory.MemoryLayer"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = [
    "chat_app.identity.sign_in.PasswordThrottle",
    "django.contrib.auth.backends.ModelBackend",
    "sesame.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
SESAME_ONE_TIME = True
SESAME_MAX_AGE = timedelta(days=1)
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"

# The local mail server. Django before 6.1 ignores MAILERS and has the same default.
MAILERS: dict[str, dict[str, object]] = {"default": {}}

TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "German"), ("ja", "Japanese")]

# Files attached to messages, readable by no other user of the machine, and without a public URL.
MEDIA_ROOT = environment.FILES_DIR or DATA_DIR / "files"
if environment.cluster and environment.FILES_DIR is None:
    HITL.setdefault("MAX_FILES", 0)  # no uploads: workers cannot read files of web processes
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [ROOT / "static"]
# Serve uncollected files from the sources, and let browsers revalidate each time (304). Such files
# have no hash in their names, so after a deployment, cached ones would be stale.
SERVESTATIC_USE_FINDERS = DEBUG or not are_collected(STATIC_ROOT, ROOT / "static")
SERVESTATIC_USE_MANIFEST = not SERVESTATIC_USE_FINDERS
SERVESTATIC_MAX_AGE = 0
SERVESTATIC_ADD_HEADERS_FUNCTION = add_headers
SERVESTATIC_USE_ZSTD = False
SERVESTATIC_MINIFY = True  # minified files are a quarter smaller when compressed
# Source maps of the API's page are 5 MB, and only debuggers request them.
SERVESTATIC_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if SERVESTATIC_USE_FINDERS and not {"collectstatic", "collect_changed"} & {*sys.argv}
        else "natproject.settings.static_files.CollectedFiles"
    },
}
SERVESTATIC_ALLOW_ALL_ORIGINS = False

# Policy sent with each response. Scripts, styles and connections follow `default-src`.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:", *environment.IMAGE_ORIGINS],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.HTTPS
CSRF_COOKIE_HTTPONLY = True  # no script needs the cookie: forms contain the token
# Keep Django's messages in the session, which saves a further cookie.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
if environment.HTTPS:
    # The prefix `__Host-` makes browsers refuse such a cookie from other hosts of the domain.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    # The TLS proxy sets this header, and must overwrite a client's value.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    # Health probes bypass the TLS proxy, and use plain HTTP.
    SECURE_REDIRECT_EXEMPT = ["^health$", "^live$"]
    SECURE_HSTS_SECONDS = environment.HSTS_SECONDS
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True

LOGGING = configure_logging(environment.LOG_LEVEL)
