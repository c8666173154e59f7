"""The configuration of logs: structlog and the standard library share a renderer to stderr."""

import io
import logging
import re
import textwrap
from http import HTTPStatus
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo

from sessions_app.json_types import JsonObject

# Paths with a secret that authorizes any reader of the log to act.
SECRET_IN_PATH = re.compile(r"(/callbacks/|/p/linked/|/unsubscribe/)[^/\s'\"]+")
# Query strings have tokens of sign-in links and guests, and OAuth's codes.
QUERY = re.compile(r"\?.*(?=['\"]>)")


def safe(_: object, __: str, entry: EventDict) -> EventDict:
    """Hide secrets in logged addresses of failed requests, and escape control characters.

    Unescaped, a text could forge a new line in the log, or control a terminal.
    """
    if "request" in entry:
        entry["request"] = QUERY.sub("?***", repr(entry["request"]))
    return {
        name: escape(SECRET_IN_PATH.sub(r"\1***", value)) if isinstance(value, str) else value
        for name, value in entry.items()
    }


def escape(text: str) -> str:
    """Return the text as one printable line; letters of all alphabets are unchanged."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def configure_logging(level: str) -> JsonObject:
    """Configure structlog and return Django's LOGGING for the same output.

    `level` is the lowest level shown, by the standard library's name.
    """
    shared_processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _without_trace_of_refusals,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared_processors,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    console = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared_processors,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            safe,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=_indented_traceback),
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"console": console},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "console"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # Disable Django's default handlers, which would print every line twice in DEBUG.
            "django": {"handlers": [], "level": "NOTSET"},
            # Sign-ins, also refused ones, are always shown.
            "hitl.audit": {"level": "INFO"},
            "django.request": {"filters": ["failures_and_refusals"]},
        },
        "filters": {
            "failures_and_refusals": {
                "()": "django.utils.log.CallbackFilter",
                "callback": is_failure_or_refusal,
            },
        },
    }


def is_failure_or_refusal(record: logging.LogRecord) -> bool:
    """Return whether to log a response: with 403 or 5xx. Django would warn of each 404, too."""
    status: int = getattr(record, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR)
    return status == HTTPStatus.FORBIDDEN or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _without_trace_of_refusals(_: object, __: str, entry: EventDict) -> EventDict:
    """Remove the traceback of requests refused by Django, such as with a wrong Host."""
    error = HTTPStatus.INTERNAL_SERVER_ERROR
    if entry.get("status_code", error) < error:
        entry.pop("exc_info", None)
    return entry


def _indented_traceback(out: TextIO, error: ExcInfo) -> None:
    """Indent the traceback, so that no line looks like a new log entry."""
    trace = io.StringIO()
    structlog.dev.plain_traceback(trace, error)
    out.write(textwrap.indent(trace.getvalue(), "  "))
