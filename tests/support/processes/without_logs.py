"""The settings of a project that configures no logs. With STRUCTLOG_PRINTS it has structlog print,
as the first example of structlog's documents does.
"""

import os

import structlog

from natproject.settings import *  # noqa: F403 - a settings module

LOGGING: dict[str, object] = {}  # type: ignore[no-redef] # replaces that of the line above
structlog.reset_defaults()
if os.environ.get("STRUCTLOG_PRINTS"):
    structlog.configure()
