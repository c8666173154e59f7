"""The checker of histories finds what it is to find: each bug is planted in a sound history."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.cluster.checker.checker import RULES, violations
from tests.cluster.checker.history import Event, History, Life, Note, Run, Sent
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


def change(rows: list[Any], index: int, **fields: Any) -> None:
    """Put another row in the place of one."""
    rows[index] = replace(rows[index], **fields)


def lose_event(history: History) -> None:
    history.events[:] = [event for event in history.events if event.sequence != 4]
    frames = history.views[0].frames
    frames[:] = [one for one in frames if one.get("sequence") != 4]


def lose_end(history: History) -> None:
    history.last_sequences[C] = 10


def end_otherwise(history: History, status: str) -> None:
    change(history.runs, 0, status=status)


def say_twice(history: History) -> None:
    change(history.events, 6, payload={"text": "yes yes no"})
    history.views[0].frames[7] = text(7, "yes yes ")


def cut_output(history: History) -> None:
    change(history.events, 6, payload={"text": "yes "})
    history.views[0].frames[8] = text(8, "")


def never_run_step(history: History) -> None:
    history.diary[:] = [note for note in history.diary if note.kind != "step.end"]


def fall_back(history: History) -> None:
    change(history.audit, 5, generation=1)
    change(history.audit, 4, generation=2)


def settle_twice(history: History) -> None:
    change(history.events, 3, type="interaction_update", payload=UPDATE)


def build_twice(history: History) -> None:
    history.diary.insert(2, Note("builder.begin", "user0", OLD.pid, 2.5))


def begin_step(life: Life, at: float) -> Note:
    return Note("step.begin", f"{RUN}:1", life.pid, at)


def repeat_frame(history: History) -> None:
    history.views[0].frames.insert(4, history.views[0].frames[3])


def show_more(history: History) -> None:
    history.views[0].frames.append(frame("run_update_message", 10))


def swap_frames(history: History) -> None:
    frames = history.views[0].frames
    frames[2], frames[3] = frames[3], frames[2]


# By the rule that must find it, and no other may: the bug, and how it shows in a history.
PLANTED: dict[str, dict[str, Callable[[History], object]]] = {
    "gaps": {
        "an event is lost": lose_event,
        "a sequence is given twice": lambda h: h.events.append(h.events[4]),
        "the last event is lost": lose_end,
    },
    "wrong_ends": {
        "a run fails": lambda h: end_otherwise(h, "failed"),
        "a run hangs": lambda h: end_otherwise(h, "running"),
        "a run is suspended": lambda h: end_otherwise(h, "suspended"),
        "a run is cancelled that nobody stopped": lambda h: end_otherwise(h, "cancelled"),
        "a message runs twice": lambda h: h.runs.append(replace(h.runs[0], id="run-1")),
        "a message is lost": lambda h: h.sent.append(Sent(C, "m2", 'echo("a")', "a")),
        "a message is made up": lambda h: h.runs.append(Run("run-1", C, "k", "m9", "completed")),
        "output is repeated": say_twice,
        "output is cut": cut_output,
    },
    "repeated_steps": {
        "a finished step runs again": lambda h: h.diary.append(begin_step(NEW, 5.5)),
        "it runs and is finished again": lambda h: change(h.events, 2, payload=h.events[3].payload),
        "a step is recorded and never ran": never_run_step,
        "a step is begun and never ends": lambda h: change(h.journal, 0, finished_at=None),
    },
    "wrong_answers": {
        "a second answer is accepted": lambda h: h.views[0].frames.append(ack("a-1")),
        "an answer is accepted and lost": lambda h: change(h.interactions, 0, answer_id="a-1"),
        "a question is settled twice": settle_twice,
        "a question stays open": lambda h: change(h.interactions, 0, status="pending"),
        "the journal has another answer": lambda h: change(h.journal, 1, result={"value": "no"}),
        "no run takes the answer": lambda h: change(h.journal, 1, finished_at=None),
    },
    "foreign_writes": {
        "an old host writes": lambda h: change(h.audit, 6, writer=OLD.name),
        "a generation falls": fall_back,
    },
    "overlapping_builders": {
        "two processes have a user's builder": lambda h: change(h.diary, 6, at=6.5),
        "a process has a user's builder twice": build_twice,
    },
    "wrong_views": {
        "a client misses an event": lambda h: h.views[0].frames.pop(3),
        "a client gets an event twice": repeat_frame,
        "a client gets events out of order": swap_frames,
        "a client shows another text": lambda h: h.views[0].frames.__setitem__(8, text(8, "yes")),
        "a client gets what the log does not have": show_more,
    },
}
BUGS = [(rule, bug) for rule, bugs in PLANTED.items() for bug in bugs]


def only(history: History, rule: str) -> None:
    broken_rules = violations(history)
    assert broken_rules
    assert {one.split(":")[0] for one in broken_rules} == {rule}, broken_rules


def test_a_sound_history_is_allowed() -> None:
    assert violations(sound_history()) == []


@pytest.mark.parametrize(("rule", "bug"), BUGS, ids=[bug for _, bug in BUGS])
def test_a_planted_bug_is_found(rule: str, bug: str) -> None:
    history = sound_history()
    PLANTED[rule][bug](history)
    only(history, rule)


def test_each_rule_is_proven() -> None:
    assert set(PLANTED) == {rule.__name__ for rule in RULES}


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


def test_a_step_that_was_cut_off_may_run_again_once_for_each_fault() -> None:
    history = sound_history()
    again = begin_step(OLD, 2.5)
    history.diary.append(again)
    assert violations(history) == []
    history.diary.append(again)
    only(history, "repeated_steps")


def test_process_that_froze_before_a_step_may_begin_it_when_it_goes_on() -> None:
    history = sound_history()
    history.lives = [replace(OLD, frozen=[(4.5, 8.0)]), NEW]
    history.diary.append(begin_step(OLD, 8.1))
    assert violations(history) == []
    history.diary.append(begin_step(OLD, 8.9))
    only(history, "repeated_steps")


def test_a_builder_ends_with_its_process() -> None:
    history = sound_history()
    history.diary = [note for note in history.diary if note.kind != "builder.closed"]
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
