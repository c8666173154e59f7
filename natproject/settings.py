"""Django settings. What a deployment may choose is in `env.py`; the rest is decided here."""

from datetime import timedelta

from natproject import databases
from natproject import env as environment
from natproject.logs import configure_logging
from natproject.serving import WEBSOCKET_MAX_SIZE

ROOT = environment.ROOT
env = environment.load()

DEBUG = env.debug
SECRET_KEY = env.secret_key
DATA_DIR = env.data_dir
HOST = env.host
PORT = env.port
ALLOWED_HOSTS = env.allowed_hosts or ["localhost", "127.0.0.1", "[::1]", HOST]
CSRF_TRUSTED_ORIGINS = env.csrf_trusted_origins
# Whose pages may open sockets, beside our own; these may not send our forms.
ALLOWED_ORIGINS = env.allowed_origins

# Which of the two forms runs: one process, or any number of web processes and workers.
CLUSTER = bool(env.database_url)
REDIS_URL = env.redis_url

# Who may come in beside those with a Django session; see docs/operations.md.
GUESTS = env.guests
JWT_KEY = env.jwt_key
JWT_JWKS_URL = env.jwt_jwks_url
JWT_AUDIENCE = env.jwt_audience
JWT_ISSUER = env.jwt_issuer
JWT_ALGORITHMS = env.jwt_algorithms
JWT_USERNAME_CLAIM = env.jwt_username_claim
JWT_CREATE_USERS = env.jwt_create_users

# The runtime's settings.
WORKFLOWS_FILE = env.workflows_file
PROBE_WORKFLOW = env.probe_workflow
# Offered beside those of the file, in its form.
EXTRA_WORKFLOWS: dict[str, dict[str, object]] = {"probe": {}} if PROBE_WORKFLOW else {}
PARK_AFTER = env.park_after  # seconds
KEEP_DAYS = env.keep_days
DISPATCHER = (
    "sessions_app.dispatch.procrastinate.ProcrastinateDispatcher"
    if CLUSTER
    else "sessions_app.dispatch.local.LocalDispatcher"
)
# Imported by the processes that take jobs; others only queue them.
PROCRASTINATE_IMPORT_PATHS = ["sessions_app.dispatch.tasks"]

INSTALLED_APPS = [
    # Wraps the runserver of the app below it, so that static files are served the same way there.
    "servestatic",
    # Installs Twisted's asyncio reactor, so it precedes all that might import Twisted.
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "ninja",  # for the files of the API's page
    *(["procrastinate.contrib.django"] if CLUSTER else []),
    "sessions_app",
    "chat_app",
    "natproject",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "natproject.urls"
ASGI_APPLICATION = "natproject.asgi.application"
CHANNEL_LAYERS = {
    "default": databases.redis_layer(env.redis_url)
    if CLUSTER
    else {"BACKEND": "natproject.layer.InProcessLayer"}
}
# For runserver; `serve` passes the same to Daphne as flags.
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
    "default": databases.postgresql(env.database_url) if CLUSTER else databases.sqlite(DATA_DIR)
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "sesame.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESAME_ONE_TIME = True
SESAME_MAX_AGE = timedelta(days=1)
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [ROOT / "static"]
# Served from where they lie, so that no start needs `collectstatic` first. Browsers ask each time
# (304): a name without a hash, and the modules it imports, must never be stale after a deploy.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_MAX_AGE = 0
SERVESTATIC_ALLOW_ALL_ORIGINS = False

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.https
if env.https:
    # The proxy that ends TLS says so in this header, and must overwrite what a client sends in it.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = configure_logging(env.log_level)
