"""The lists of planted bugs fit the code: where it has moved, they are to move with it."""

from collections import Counter

from tests.planted.planting import bugs


def test_each_planted_bug_fits_the_code_and_names_a_test() -> None:
    faults = [f"{bug.rule}: {fault}" for bug in bugs() for fault in bug.faults]
    assert not faults, "\n".join(faults)


def test_each_rule_is_named_once() -> None:
    counts = Counter(bug.rule for bug in bugs())
    assert [rule for rule, count in counts.items() if count > 1] == []
