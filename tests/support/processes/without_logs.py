"""The settings of a project that configures no logs. STRUCTLOG_PRINTS makes structlog print."""

import os

import structlog

from tests.support.settings import *  # noqa: F403 - a settings module

LOGGING: dict[str, object] = {}  # type: ignore[no-redef] # replaces that of the line above
structlog.reset_defaults()
if os.environ.get("STRUCTLOG_PRINTS"):
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )
