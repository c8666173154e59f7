"""Tests of what a reader chooses for their pages, and the language that these are in."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Message
from babel.messages.mofile import read_mo
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import AsyncClient
from django.urls import reverse
from django.utils.translation import override

from chat_app.page.settings.preferences import PREFERENCES
from chat_app.rates import Rate
from chat_app.wire.parsing import refusal_of
from sessions_app.conversations.messages import MAX_MESSAGE
from sessions_app.errors import Busy, TooMany
from sessions_app.models import Interaction, Run
from sessions_app.prompts import TextPrompt
from tests import messages
from tests.page.plain_page import page, post, text_of
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)
DATA = re.compile(r'data-\w+="\w+"')
PLACE = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w+\}|<[^>]+>")


async def choose(client: AsyncClient, **chosen: str) -> Any:
    return await client.post(reverse("chat:settings"), chosen)


async def test_times_are_utc_wherever_the_site_is(
    client: AsyncClient, log: StoredLog, run: Run, settings: Any
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    at = datetime(2030, 1, 31, 20, tzinfo=UTC)
    prompt = await asyncio.to_thread(log.ask, run, TextPrompt(text="When?", timeout=600))
    await Interaction.objects.aupdate(due_at=at, created_at=at, expires_at=at)
    html = await text_of(client, "prompt", prompt.pk)
    # When it was asked, when it is due, when it expires, and the title of that.
    assert html.count("2030-01-31 20:00 UTC") == 4


async def test_a_site_that_separates_thousands_does_so_for_people_alone(
    client: AsyncClient, log: StoredLog, run: Run, settings: Any
) -> None:
    """`conftest.py` checks all other attributes of all pages."""
    settings.USE_THOUSAND_SEPARATOR = True
    log.conversation.last_sequence = 1233
    await asyncio.to_thread(log.text, run, "x" * 300_000)
    html = await page(client, language="de")
    assert 'data-last="1234"' in html
    assert f'data-most="{MAX_MESSAGE}"' in html
    assert re.search(r"\d\.\d{3}\s+weitere Zeichen", html)


async def test_the_chosen_look_is_in_the_html(client: AsyncClient) -> None:
    usual = await page(client)
    for attribute in ('data-theme="system"', 'data-text="normal"', 'data-enter="sends"'):
        assert attribute in usual
    assert 'content="light dark"' in usual
    answer = await choose(client, theme="dark", text="large", enter="breaks", here="a/b")
    assert (answer.status_code, answer["Location"]) == (303, "/c/a%252Fb/")
    chosen = await page(client)
    for attribute in ('data-theme="dark"', 'data-text="large"', 'data-enter="breaks"'):
        assert attribute in chosen
    assert '<meta name="color-scheme" content="dark">' in chosen
    assert "<kbd>Ctrl</kbd>" in chosen
    form = (await client.get(reverse("chat:settings"))).content.decode()
    assert re.findall(r'value="(\w*)"\s+checked', form) == ["dark", "large", "breaks", ""]
    await choose(client, theme="system", text="normal", enter="sends")
    again = await page(client)
    assert DATA.findall(again) == DATA.findall(usual)


async def test_the_chosen_look_holds_without_signing_in(ann: User) -> None:
    client = AsyncClient()
    assert (await choose(client, theme="dark"))["Location"] == "/settings/"
    signing_in = (await client.get("/sign-in/")).content.decode()
    assert 'data-theme="dark"' in signing_in
    assert 'href="/settings/"' in signing_in


async def test_look_cookies_are_httponly_and_hold_known_values_only(
    client: AsyncClient,
) -> None:
    answer = await choose(client, theme="dark", text="<b>", enter="", language="xx")
    assert list(answer.cookies) == ["chat_theme"]
    cookie = answer.cookies["chat_theme"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    client.cookies["chat_text"] = '"><script>'
    assert 'data-text="normal"' in await page(client)


async def test_saving_the_look_redirects_to_own_pages_only(client: AsyncClient) -> None:
    for here in ("//evil.example", "https://evil.example", "\0", "x" * 300):
        assert (await choose(client, here=here))["Location"].startswith(("/c/", "/settings/"))


async def test_the_language_is_the_chosen_one_or_the_browsers(client: AsyncClient) -> None:
    assert '<html\n  lang="en"\n  dir="ltr"' in await page(client)
    german = await page(client, language="fr;q=0.9, de-AT;q=0.8, en;q=0.1")
    assert 'lang="de"' in german
    assert "Neues Gespräch" in german
    assert '"Verbindet"' in german  # the words of the script
    assert 'lang="en"' in await page(client, language="xx")
    await choose(client, language="ja")
    japanese = await page(client, language="de")
    assert 'lang="ja"' in japanese
    assert "新しい会話" in japanese
    await choose(client, language="")
    assert 'lang="de"' in await page(client, language="de")


async def test_the_list_outcomes_and_errors_are_in_the_chosen_language(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    prompt = await asyncio.to_thread(log.ask, run, TextPrompt(text="When?", timeout=600))
    await asyncio.to_thread(log.settle, prompt, None, status="expired")
    await choose(client, language="de")
    assert "Heute" in await text_of(client, "conversations")
    assert "Die Zeit für eine Antwort ist vorbei." in await page(client)
    refused = await post(client, "rename", "c", title=" ")
    assert "Der Titel ist leer." in refused.content.decode()
    refused = await post(client, "send", "c", text=" ")
    assert "Die Nachricht ist leer." in refused.content.decode()
    missing_page = await client.get("/nothing/", headers={"Accept": "text/html"})
    assert "Seite nicht gefunden" in missing_page.content.decode()


async def test_an_error_is_translated_where_it_is_said() -> None:
    busy, many = Busy(), TooMany(Rate.MESSAGES_USER.counted_things, 300)
    assert str(many) == "Too many messages. Try again in 5 minutes."
    with override("de"):
        assert str(busy).startswith("Dieser Ablauf nimmt eine Nachricht nach der anderen.")
        not_stored = "Die Nachricht konnte nicht gespeichert werden. Senden Sie sie noch einmal."
        assert str(refusal_of(OperationalError())) == not_stored
        assert str(many) == "Zu viele Nachrichten. Versuchen Sie es in 5 Minuten noch einmal."
    assert str(busy).startswith("This workflow accepts one message at a time.")


async def test_pages_in_right_to_left_languages_are_right_to_left(
    client: AsyncClient, settings: Any
) -> None:
    settings.LANGUAGES = [("en", "English"), ("he", "Hebrew")]
    assert 'lang="he"\n  dir="rtl"' in await page(client, language="he")


def forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or [])


@pytest.mark.slow
@pytest.mark.parametrize("language", messages.languages())
def test_every_word_has_a_translation(language: str) -> None:
    catalog = messages.read(language)
    source_words = {(message.context, message.id) for message in messages.collected()}
    assert {(message.context, message.id) for message in catalog} == source_words, (
        "run `make messages`, and translate what is new"
    )
    for message in catalog:
        if not (word := message.id):
            continue  # the header
        assert all(forms(message)), word
        assert not message.fuzzy, word
        places = PLACE.findall(word if isinstance(word, str) else word[1])
        for translation in forms(message):
            assert sorted(PLACE.findall(translation)) == sorted(places), (word, translation)


@pytest.mark.parametrize("language", messages.languages())
def test_every_word_has_our_context(language: str) -> None:
    """Django merges all catalogs: without a context, ours would change labels of the project."""
    words = {message.id: message.context for message in messages.read(language) if message.id}
    assert not {word for word, context in words.items() if context != messages.CONTEXT}


@pytest.mark.slow
@pytest.mark.parametrize("language", messages.languages())
def test_words_without_a_context_are_those_of_djangos_admin(language: str) -> None:
    path = Path(admin.__file__).parent / "locale" / language / "LC_MESSAGES" / "django.mo"
    with path.open("rb") as file:
        known = read_mo(file)
    for word, place in messages.words_of_django():
        message = f'give {word!r} in {place} the context "{messages.CONTEXT}"'
        assert "/admin/" in place, message
        assert word in known, message


def test_german_has_one_word_for_workflows() -> None:
    translations = [text for message in messages.read("de") for text in forms(message)]
    assert "Ablauf" in translations
    assert not [text for text in translations if "Workflow" in text]


@pytest.mark.parametrize("language", messages.languages())
def test_the_compiled_words_are_those_that_were_written(language: str) -> None:
    written = messages.compiled(messages.read(language))
    assert messages.po(language).with_suffix(".mo").read_bytes() == written, "run `make messages`"


def test_there_are_catalogs_of_all_languages_that_are_offered() -> None:
    offered = next(each for each in PREFERENCES if each.name == "language").choices
    assert {*messages.languages(), "en", ""} == set(offered)
