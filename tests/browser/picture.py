"""`make picture`: the picture of the README, in which a question outlives `kill -9`."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, expect

from tests.browser.chat_page import card, open_new, say, state, until_connected
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

FILE = Path("docs/restart.gif")
SIZE = {"width": 840, "height": 560}
TERMINAL = 44  # px below the page, with the command that was run last
COLORS = 64
MOST = 1_000_000  # bytes


class Film:
    """The pictures of a page so far, each with the command that was run before it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.command = "make run"
        self.pictures: list[Image.Image] = []
        self.durations: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Take a picture, which is shown for so long."""
        self.page.wait_for_timeout(400)  # transitions have ended
        page = Image.open(BytesIO(self.page.screenshot())).convert("RGB")
        picture = Image.new("RGB", (page.width, page.height + TERMINAL), "#1e1e1e")
        picture.paste(page)
        place = (16, page.height + TERMINAL // 2)
        font = ImageFont.load_default(18)
        ImageDraw.Draw(picture).text(place, f"$ {self.command}", "#e6e6e6", font, anchor="lm")
        self.pictures.append(picture.quantize(COLORS, dither=Image.Dither.NONE))
        self.durations.append(milliseconds)

    def save(self) -> None:
        """Write the file, which begins again at its end."""
        first, *others = self.pictures
        first.save(FILE, save_all=True, append_images=others, duration=self.durations, loop=0)
        assert FILE.stat().st_size < MOST


def test_film_a_question_that_outlives_its_process(
    open_page: OpenPage, server: Server, console: Console
) -> None:
    page = open_page(None)
    page.set_viewport_size(SIZE)  # type: ignore[arg-type] # a TypedDict there
    open_new(page, "assistant")
    film = Film(page)
    film.take(1200)
    say(page, "Note: the lamp of room 3 is broken")
    expect(card(page)).to_be_visible()
    film.take(2500)
    film.command = f"kill -9 {server.host.process.pid}"
    server.kill()
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    film.take(2500)
    film.command = "make run"
    server.restart()
    until_connected(page)
    film.take(2500)
    card(page).get_by_role("button", name="Approve").click()
    state(page, "completed")
    film.take(4000)
    film.save()
