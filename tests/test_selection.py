"""The folders and the tests that `support/selection.py` names are there."""

import pytest

from tests.support.selection import CRASHES, CRITICAL, ROOT, SUBJECTS

pytestmark = pytest.mark.formless


@pytest.mark.parametrize("folder", [*SUBJECTS, *CRITICAL])
def test_folder_and_its_tests_are_there(folder: str) -> None:
    assert (ROOT / folder).is_dir()
    beginnings = SUBJECTS.get(folder, CRASHES)
    assert all(any(ROOT.glob(f"{beginning}*")) for beginning in beginnings)
