"""Firefox, in the place of the browser that the other tests have."""

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Console
from tests.support.server import Server


@pytest.fixture
def browser(firefox_browser: Browser) -> Browser:
    return firefox_browser


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return the one server: what is tested here does not depend on other conversations."""
    return one_server


@pytest.fixture(autouse=True)
def _what_a_page_was_loading(console: Console) -> None:
    # As Firefox calls them if the page is left meanwhile.
    console.allow("error loading dynamically imported module")
    console.allow("connection to ws://.* was interrupted while the page was loading")
