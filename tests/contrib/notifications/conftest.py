"""The check of all that is rendered, which the tests of the page have too."""

from tests.page.conftest import numbers_for_programs  # noqa: F401 - pytest finds it here
