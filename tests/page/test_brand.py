"""Tests of a project's own name, mark and colour on the pages."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import AsyncClient
from hypothesis import example, given
from hypothesis import strategies as st

from chat_app.page import brand
from tests.page.plain_page import page
from tests.support.hitl import set_hitl

BASE = Path("static/chat_app/css/base.css").read_text()
TOKEN = re.compile(r"--([\w-]+): ?light-dark\((#\w{6}), ?(#\w{6})\)")
OWN = {"name": "Acme <Desk>", "mark": "chat_app/icon-needs-you.svg", "accent": "#6b21a8"}
ABOUT = "Assistants that work for you, and ask before they act."
# Each text with what it stands on.
READ = {
    "accent": ("page", "surface", "sunken", "hover", "tint"),
    "accent-strong": ("page", "surface", "sunken", "hover", "tint"),
    "on-accent": ("accent", "accent-strong"),
    **dict.fromkeys(("ink", "muted"), ("page", "surface", "sunken", "hover", "tint")),
    "warn": ("page", "surface", "sunken", "hover", "warn-tint"),
    "danger": ("page", "surface", "sunken", "hover", "danger-tint"),
    "on-danger": ("danger",),
}


def assert_readable(style_sheet: str) -> None:
    tokens = {name: pair for name, *pair in TOKEN.findall(BASE) + TOKEN.findall(style_sheet)}
    for text, grounds in READ.items():
        for ground in grounds:
            for scheme, pair in enumerate(zip(tokens[text], tokens[ground], strict=True)):
                contrast = brand.contrast(*map(brand.parse, pair))
                assert contrast >= 4.5, (text, ground, ("light", "dark")[scheme], contrast)


def test_all_texts_of_our_own_colours_can_be_read() -> None:
    assert_readable("")


@given(st.integers(0, 0xFFFFFF))
@example(0)
@example(0xFFFFFF)
@example(0xFFFF00)
def test_any_accent_can_be_read(colour: int) -> None:
    assert_readable(brand.colours(f"#{colour:06x}"))


@pytest.mark.django_db(transaction=True)
async def test_pages_have_the_projects_name_mark_and_colour(
    client: AsyncClient, settings: Any
) -> None:
    assert "brand.css" not in await page(client)
    assert (await client.get("/brand.css")).status_code == 404
    set_hitl(settings, BRAND=OWN)
    for html in (await page(client), (await AsyncClient().get("/sign-in/")).content.decode()):
        assert "Acme &lt;Desk&gt;</b>" in html
        assert '<img src="/static/chat_app/icon-needs-you.svg" alt="">' in html
        assert 'rel="icon" href="/static/chat_app/icon-needs-you.svg"' in html
        address = re.findall(r'href="(/brand\.css\?\w{12})"', html)[0]
    sheet = await AsyncClient().get(address)
    assert "immutable" in sheet["Cache-Control"]
    assert "--accent:light-dark(#6b21a8," in sheet.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_the_sign_in_page_says_what_this_is_in_the_projects_words_if_it_has_any(
    settings: Any,
) -> None:
    assert ABOUT in (await AsyncClient().get("/sign-in/")).content.decode()
    set_hitl(settings, BRAND={"about": "Expenses & travel."})
    html = (await AsyncClient().get("/sign-in/")).content.decode()
    assert "Expenses &amp; travel." in html
    assert ABOUT not in html


@pytest.mark.parametrize("mark", ["acme/none.svg", "../settings.py", "/etc/passwd"])
def test_a_mark_that_is_no_static_file_is_reported(settings: Any, mark: str) -> None:
    assert not run_checks(databases=[])
    set_hitl(settings, BRAND={"mark": mark})
    [problem] = run_checks(databases=[])
    assert problem.id == "chat_app.E001"
    assert f"BRAND names {mark!r}, which is no static file." in str(problem)
