"""The settings of the OAuth server: as strict as django-oauth-toolkit can be."""

import os
from pathlib import Path

SECRET_KEY = "of-another-site"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.contrib.oauth.server.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "oauth2_provider",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["OAUTH_SERVER"]) / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
# Tables as the models have them: all migrations of the package take seconds.
MIGRATION_MODULES = {
    "auth": None,
    "contenttypes": None,
    "oauth2_provider": None,
    "sessions": None,
}
SESSION_COOKIE_NAME = "elsewhere"  # the site under test is on the same host
LOGIN_URL = "/login/"
USE_TZ = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
OAUTH2_PROVIDER = {
    "SCOPES": {
        "read": "Read your notes",
        "write": "Write notes",
        "repo": "Issues",
        "offline_access": "While you are away",
    },
    "DEFAULT_SCOPES": ["read"],
    "ALLOWED_SCHEMES": ["http"],
    "ROTATE_REFRESH_TOKEN": True,
    # Who uses a refresh token twice loses all tokens.
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
}
