"""The log of a module: structlog's if the project has configured it, else the standard library's.

A line that cannot be written is dropped: a full disk, a closed stdout or an unfit encoding must not
refuse a sign-in, or fail a run.
"""

import logging
from contextlib import suppress

import structlog


class Log:
    """A named log, such as a module's; events have structured `fields`."""

    def __init__(self, name: str) -> None:
        self._structured = structlog.get_logger(name)  # noqa: TID251 - the only use
        self._plain = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Log a detail."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log an ordinary event."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log an event that an operator may want to look at."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log a fault."""
        self._write("error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log a fault with the exception being handled."""
        self._write("error", event, {"exc_info": True, **fields})

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        with suppress(Exception):  # drop the line: a handler may raise any exception
            if structlog.is_configured():
                getattr(self._structured, level)(event, **fields)
                return
            error = fields.pop("exc_info", None)
            text = " ".join([event, *(f"{name}={value!r}" for name, value in fields.items())])
            # `stacklevel` attributes the line to the caller of the public method.
            getattr(self._plain, level)(text, exc_info=error, stacklevel=3)
