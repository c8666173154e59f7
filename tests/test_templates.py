"""The checks of templates that no linter makes."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.formless
ROOT = Path(__file__).parent.parent
LONGEST = 140


def test_no_line_of_a_template_is_too_long() -> None:
    paths = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("*/templates/**/*.html")]
    assert paths
    long = [
        f"{path.relative_to(ROOT)}:{number} has {len(line)} characters"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > LONGEST
    ]
    assert long == []
