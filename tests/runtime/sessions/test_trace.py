"""Tests of the header `traceparent` by W3C Trace Context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.workflows.request_context import Trace

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{ID}-{SPAN}-01", True),
        (f"00-{ID}-{SPAN}-00", False),
        (f"00-{ID}-{SPAN}-02", False),
        (f"00-{ID}-{SPAN}-ff", True),
        (f" 00-{ID}-{SPAN}-01\t", True),
        (f"cc-{ID}-{SPAN}-01", True),
        (f"cc-{ID}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_a_valid_header_is_read(header: str, sampled: bool) -> None:
    trace = Trace.parse(header, "a=1")
    assert trace == Trace(int(ID, 16), int(SPAN, 16), sampled, "a=1")


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{ID}-{SPAN}",
        f"00-{ID}-{SPAN}-1",
        f"00-{ID}-{SPAN}-01-more",
        f"00-{ID}-{SPAN}-01-",
        f"ff-{ID}-{SPAN}-01",
        f"cc-{ID}-{SPAN}-01.more",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID[:-1]}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01, 00-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01\n",
        f"00_{ID}_{SPAN}_01",
    ],
)
def test_an_invalid_header_is_none(header: str) -> None:
    assert Trace.parse(header, "a=1") is None


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{2}(-[0-9a-f]{0,34}){1,4}"))
def test_any_text_is_read_or_refused_and_what_is_written_is_valid(header: str) -> None:
    trace = Trace.parse(header)
    if trace is not None:
        assert Trace.parse(trace.headers["traceparent"]) == trace


@given(st.text())
def test_the_ids_of_a_new_trace_follow_from_the_run(run_id: str) -> None:
    trace = Trace.of_run(run_id, None)
    assert trace == Trace.of_run(run_id, None) == Trace.parse(trace.headers["traceparent"])


def test_a_child_is_another_span_of_the_same_trace() -> None:
    parent = Trace.parse(f"00-{ID}-{SPAN}-01", "a=1")
    assert parent is not None
    child = Trace.of_run("run", parent)
    assert (child.trace_id, child.sampled, child.state) == (parent.trace_id, True, "a=1")
    assert child.span_id != parent.span_id


def test_the_toolkits_own_header_stands_where_there_is_no_valid_traceparent() -> None:
    headers = {"workflow-trace-id": ID, "traceparent": "nonsense"}
    assert Trace.of_headers(headers) == Trace(int(ID, 16), 0)
    assert Trace.of_headers({"workflow-trace-id": "nonsense"}) is None
    assert Trace.of_headers({"workflow-trace-id": "0" * 32}) is None
    both = {**headers, "traceparent": f"00-{'a' * 32}-{SPAN}-00"}
    assert Trace.of_headers(both) == Trace(int("a" * 32, 16), int(SPAN, 16))
