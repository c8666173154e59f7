"""Firefox, in the place of the browser that the other tests have."""

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Console


@pytest.fixture
def browser(firefox_browser: Browser) -> Browser:
    """Return Firefox, for all fixtures that open pages."""
    return firefox_browser


@pytest.fixture(autouse=True)
def _what_a_page_was_loading(console: Console) -> None:
    # As Firefox calls it if the page is left meanwhile.
    console.allow("error loading dynamically imported module")
