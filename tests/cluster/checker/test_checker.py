"""The checker of histories finds what it is to find: each test plants one fault in a sound one."""

from dataclasses import replace

import pytest

from tests.cluster.checker.checker import violations
from tests.cluster.checker.history import Event, History, Note, Sent
from tests.cluster.checker.sound_history import (
    NEW,
    OLD,
    RUN,
    UPDATE,
    C,
    ack,
    frame,
    sound_history,
    text,
)


def only(history: History, rule: str) -> None:
    found = violations(history)
    assert found
    assert {one.split(":")[0] for one in found} == {rule}, found


def without(history: History, sequence: int) -> History:
    kept = [event for event in history.events if event.sequence != sequence]
    return replace(history, events=kept)


def test_a_sound_history_is_allowed() -> None:
    assert violations(sound_history()) == []


def test_an_event_that_is_lost_is_found() -> None:
    history = without(sound_history(), 4)
    history.views[0].frames = [one for one in history.views[0].frames if one.get("sequence") != 4]
    only(history, "gaps")


def test_a_sequence_that_is_given_twice_is_found() -> None:
    history = sound_history()
    history.events.append(history.events[3])
    only(history, "gaps")


def test_an_end_that_is_lost_is_found() -> None:
    history = sound_history()
    history.last_sequences[C] = 10
    only(history, "gaps")


@pytest.mark.parametrize("status", ["failed", "running", "suspended"])
def test_a_run_that_ended_in_another_way_is_found(status: str) -> None:
    history = sound_history()
    history.runs[0] = replace(history.runs[0], status=status)
    only(history, "wrong_ends")


def test_a_run_that_its_person_stopped_may_end_with_a_part_of_its_text() -> None:
    history = sound_history()
    history.runs[0] = replace(history.runs[0], status="cancelled")
    history.events[6] = replace(history.events[6], payload={"text": "yes "})
    history.views[0].frames[8] = text(8, "")
    only(history, "wrong_ends")
    history.sent[0].stopped = True
    assert violations(history) == []
    history.sent[0].output = "no"
    only(history, "wrong_ends")


def test_a_message_that_ran_twice_is_found() -> None:
    history = sound_history()
    history.runs.append(replace(history.runs[0], id="run-1"))
    only(history, "wrong_ends")


def test_a_message_that_is_lost_is_found() -> None:
    history = sound_history()
    history.sent.append(Sent(C, "m2", "echo a", "a"))
    only(history, "wrong_ends")


def test_an_output_with_something_twice_is_found() -> None:
    history = sound_history()
    history.events[6] = replace(history.events[6], payload={"text": "yes yes no"})
    history.views[0].frames[7] = text(7, "yes yes ")
    only(history, "wrong_ends")


def test_a_step_that_runs_again_once_finished_is_found() -> None:
    history = sound_history()
    history.diary.append(Note("step.begin", f"{RUN}:1", NEW.pid, 5.5))
    only(history, "repeated_steps")


def test_a_step_that_was_cut_off_may_run_again_once_for_each_fault() -> None:
    history = sound_history()
    again = Note("step.begin", f"{RUN}:1", OLD.pid, 2.5)
    history.diary.append(again)
    assert violations(history) == []
    history.diary.append(again)
    only(history, "repeated_steps")


def test_a_step_that_is_recorded_and_never_ran_is_found() -> None:
    history = sound_history()
    history.diary = [note for note in history.diary if note.what != "step.end"]
    only(history, "repeated_steps")


def test_a_second_accepted_answer_is_found() -> None:
    history = sound_history()
    history.views[0].frames.append(ack("a-1"))
    only(history, "wrong_answers")


def test_an_answer_that_was_accepted_and_lost_is_found() -> None:
    history = sound_history()
    history.interactions[0] = replace(history.interactions[0], answer_id="a-1")
    only(history, "wrong_answers")


def test_a_question_that_was_settled_twice_is_found() -> None:
    history = sound_history()
    history.events[3] = replace(history.events[3], type="interaction_update", payload=UPDATE)
    only(history, "wrong_answers")


def test_a_journal_with_another_answer_is_found() -> None:
    history = sound_history()
    history.journal[1] = replace(history.journal[1], result={"value": "no"})
    only(history, "wrong_answers")


def test_an_answer_that_no_run_took_is_found() -> None:
    history = sound_history()
    history.journal[1] = replace(history.journal[1], finished_at=None)
    only(history, "wrong_answers")


def test_a_write_of_an_old_host_is_found() -> None:
    history = sound_history()
    history.audit[6] = replace(history.audit[6], writer=OLD.name)
    only(history, "foreign_writes")


def test_a_generation_that_falls_is_found() -> None:
    history = sound_history()
    history.audit[5] = replace(history.audit[5], generation=1)
    history.audit[4] = replace(history.audit[4], generation=2)
    only(history, "foreign_writes")


def test_builders_that_overlap_are_found() -> None:
    history = sound_history()
    history.diary[6] = replace(history.diary[6], at=6.5)
    only(history, "overlapping_builders")


def test_a_builder_ends_with_its_process() -> None:
    history = sound_history()
    history.diary = [note for note in history.diary if note.what != "builder.closed"]
    only(history, "overlapping_builders")
    history.lives = [replace(OLD, ended=7.5), NEW]
    assert violations(history) == []


def test_a_builder_that_stands_still_does_nothing_and_closes_once_it_goes_on() -> None:
    history = sound_history()
    history.diary[5] = replace(history.diary[5], at=22.0)
    history.diary.append(Note("step.begin", "another:1", NEW.pid, 30.0))
    history.lives = [replace(OLD, frozen=[(6.5, 20.0)]), NEW]
    assert violations(history) == []
    history.diary[5] = replace(history.diary[5], at=25.0)
    only(history, "overlapping_builders")


def test_a_client_that_missed_an_event_is_found() -> None:
    history = sound_history()
    history.views[0].frames.pop(3)
    only(history, "wrong_views")


def test_a_client_that_got_an_event_twice_is_found() -> None:
    history = sound_history()
    history.views[0].frames.insert(4, history.views[0].frames[3])
    only(history, "wrong_views")


def test_a_client_that_shows_another_text_is_found() -> None:
    history = sound_history()
    history.views[0].frames[8] = text(8, "yes")
    only(history, "wrong_views")


def test_a_client_that_got_what_the_log_does_not_have_is_found() -> None:
    history = sound_history()
    history.views[0].frames.append(frame("run_update_message", 10))
    only(history, "wrong_views")


def test_an_open_question_is_shown_again_and_text_that_was_taken_back_is_forgotten() -> None:
    history = sound_history()
    frames = history.views[0].frames
    frames.insert(6, frames[5])
    history.events[6:7] = [
        Event(C, RUN, 7, 7, "message", {"text": "", "taken_back": "x"}),
        Event(C, RUN, 8, 8, "restart", {"from_sequence": 7}),
        Event(C, RUN, 9, 9, "message", {"text": "yes no"}),
        Event(C, RUN, 10, 10, "run", {"status": "completed"}),
    ]
    del history.events[10:]
    history.last_sequences[C] = 10
    frames[8:] = [
        text(7, "x"),
        frame("restart_message", 8, content={"from_sequence": 7}),
        text(9, "yes no"),
        frame("run_update_message", 10),
    ]
    assert violations(history) == []
