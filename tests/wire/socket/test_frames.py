"""Tests of the frames that one event becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chat_app.wire.frames import View, event_frames
from sessions_app.storage.records import EventRecord

NOW = datetime(2026, 1, 13, 10, 0, 3, 250_000, tzinfo=UTC)
RUN = UUID(int=2)


def event(
    type_: str, schema_type: str = "chat_stream", first: int = 7, **payload: Any
) -> EventRecord:
    return EventRecord(UUID(int=1), RUN, "m1", schema_type, first, 7, type_, payload, NOW)


def frames(one: EventRecord, **view: Any) -> list[dict[str, Any]]:
    return event_frames(one, View("c", NOW, **view))


def prompt(**fields: Any) -> EventRecord:
    content = {"input_type": "text", "text": "Go?", "timeout": 60.0, "error": "late", "details": {}}
    fields = {"interaction_id": "i1", "prompt": content, "expires_at": None, "version": 1, **fields}
    return event("interaction", **fields)


def test_text_is_a_response_in_progress_with_the_common_fields() -> None:
    assert frames(event("text", text="Hi")) == [
        {
            "type": "system_response_message",
            "id": f"{RUN}:7",
            "thread_id": str(RUN),
            "parent_id": "m1",
            "conversation_id": "c",
            "content": {"text": "Hi"},
            "status": "in_progress",
            "timestamp": "2026-01-13T10:00:03.250Z",
            "run_id": str(RUN),
            "sequence": 7,
        }
    ]


def test_only_the_last_frame_of_an_event_has_its_sequence() -> None:
    error = {"code": "workflow_failed", "message": "It failed."}
    end = frames(event("run", status="failed", error=error))
    assert [frame["type"] for frame in end] == [
        "error_message",
        "system_response_message",
        "run_update_message",
    ]
    assert ["sequence" in frame for frame in end] == [False, False, True]
    assert end[0]["content"]["message"] == "It failed."
    assert end[0]["content"]["code"] == "workflow_error"


@pytest.mark.parametrize("status", ["running", "suspended", "queued"])
def test_a_run_that_is_not_over_gives_an_update_only(status: str) -> None:
    (frame,) = frames(event("run", status=status, replayed=3))
    assert frame["type"] == "run_update_message"
    assert frame["status"] == "in_progress"
    assert frame["content"]["replayed"] == 3


@pytest.mark.parametrize(("left", "timeout"), [(41.5, 42), (-5, 1), (None, None)])
def test_a_prompt_says_what_time_is_left(left: float | None, timeout: int | None) -> None:
    expires_at = None if left is None else NOW + timedelta(seconds=left)
    (frame,) = frames(prompt(expires_at=expires_at and expires_at.isoformat()))
    assert frame["type"] == "system_interaction_message"
    assert frame["id"] == frame["thread_id"] == frame["interaction_id"] == "i1"
    assert (frame["content"]["timeout"], frame["version"]) == (timeout, 1)
    assert frame["server_now"] == "2026-01-13T10:00:03.250Z"
    if left == 41.5:
        assert frame["expires_at"] == "2026-01-13T10:00:44.750Z"


def test_a_restart_says_from_where() -> None:
    (cut,) = frames(event("restart", from_sequence=3))
    assert (cut["type"], cut["content"]) == ("restart_message", {"from_sequence": 3})


def test_a_step_keeps_its_id_from_start_to_end() -> None:
    step: dict[str, Any] = {"step_id": "s1", "name": "Parse", "payload": ""}
    (start,) = frames(event("step", state="in_progress", **step))
    (end,) = frames(event("step", state="failed", **step))
    assert (start["id"], start["status"]) == ("s1", "in_progress")
    assert (end["id"], end["status"], end["state"]) == ("s1", "complete", "failed")
