"""The settings of `startproject`, then the steps of docs/install.md, then those of one line."""

import os
from pathlib import Path
from typing import Any

from tests.support.processes.environment import ROOT

HERE = Path(__file__).parent
DATA = Path(os.environ["HOST_DATA"])
PACKAGE = __package__

SECRET_KEY = "only-for-tests-" + "x" * 50
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "sessions_app",
    "sessions_app.contrib.operations",
    "chat_app",
    "chat_app.contrib.notifications",
    f"{PACKAGE}.desk",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = f"{PACKAGE}.urls"
# Settings that the URL configuration reads.
CHAT_PATH, ADMIN_PATH = "assistant/", "admin/"
ACCOUNT_URLS = "django.contrib.auth.urls"
BY_LANGUAGE = OWN_ERROR_PAGES = False
ASGI_WRAPPER = ""
ASGI_APPLICATION = f"{PACKAGE}.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # The second folder is this repository's; in the wheel, the applications contain it.
        "DIRS": [HERE / "templates", ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3"}
}
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [ROOT / "static"]
MEDIA_ROOT = DATA / "media"
LOGIN_URL = "login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# A fast hasher, because Django's default takes half a second for each password.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA / "mails"
HITL = {"MAIL": "now", "PUBLIC_URL": os.environ.get("HOST_URL", "https://site.example")}

exec(os.environ.get("HOST_SETTINGS", ""))  # noqa: S102 - a line of ours
