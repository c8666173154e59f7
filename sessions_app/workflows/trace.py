"""Trace ids as W3C Trace Context (level 1) has them: `traceparent` read and written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from uuid import UUID

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a trace: trace, span, flags and state.

    `trace_id` has 128 bits and `span_id` 64; `sampled` is the caller's flag; `state` is its
    `tracestate`, handed on as it came.
    """

    trace_id: int
    span_id: int
    sampled: bool = False
    state: str = ""

    @classmethod
    def parse(cls, traceparent: str, tracestate: str = "") -> "Trace | None":
        """Parse the place that the two headers name; None if `traceparent` is not valid.

        A higher version is read as far as version 00 goes, as the standard asks.
        """
        match = _FORM.fullmatch(traceparent.strip(" \t"))
        if match is None:
            return None
        version, trace_id, span_id, flags, extra_fields = match.groups()
        if version == "ff" or (version == "00" and extra_fields) or not int(trace_id, 16):
            return None
        if not int(span_id, 16):
            return None
        sampled = bool(int(flags, 16) & _SAMPLED)
        return cls(int(trace_id, 16), int(span_id, 16), sampled, tracestate)

    @classmethod
    def parse_id(cls, text: str) -> "Trace | None":
        """Parse the trace of an id (32 hex digits, or a UUID), without a span; None if not
        valid.
        """
        try:
            trace_id = UUID(text.strip()).int
        except ValueError:
            return None
        return cls(trace_id, 0) if trace_id else None

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> "Trace | None":
        """Return the place that a request names: by `traceparent`, else by `workflow-trace-id`."""
        place = cls.parse(headers.get("traceparent", ""), headers.get("tracestate", ""))
        return place or cls.parse_id(headers.get("workflow-trace-id", ""))

    @classmethod
    def of_run(cls, run_id: str, parent: "Trace | None") -> "Trace":
        """Return the run's own span in its parent's trace, else in a new one.

        Its ids follow from the run's: a replay has the same.
        """
        span_id = _digest(run_id, 8)
        return replace(parent, span_id=span_id) if parent else cls(_digest(run_id, 16), span_id)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a request of this place sends along."""
        flags = _SAMPLED if self.sampled else 0
        traceparent = f"00-{self.trace_id:032x}-{self.span_id:016x}-{flags:02x}"
        return {"traceparent": traceparent, **({"tracestate": self.state} if self.state else {})}


def _digest(text: str, size: int) -> int:
    # Zero is no valid id.
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1
