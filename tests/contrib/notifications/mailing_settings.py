"""Settings of a server that mails through the test's mail server, without a timeout."""

import os

import django

from tests.support.settings import *  # noqa: F403 - the tests' own, and the mail server

_port = int(os.environ["MAIL_PORT"])
_backend = "django.core.mail.backends.smtp.EmailBackend"
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {"BACKEND": _backend, "OPTIONS": {"host": "127.0.0.1", "port": _port}},
    }
else:
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _backend, "127.0.0.1", _port
