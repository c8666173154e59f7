"""Markdown of Chinese, Japanese and Korean: marks and links beside its punctuation."""

import pytest

from chat_app.page.markdown.markdown import render


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**重要。**必须", "<strong>重要。</strong>必须"),
        ("これは**「重要」**です。", "これは<strong>「重要」</strong>です。"),
        ("**この文。**次の文", "<strong>この文。</strong>次の文"),
        ("**이 용어(This term)**를", "<strong>이 용어(This term)</strong>를"),
        ("我可以强调**这个`code`**吗", "我可以强调<strong>这个<code>code</code></strong>吗"),
        ("他说*“好”*的", "他说<em>“好”</em>的"),
        ("価格は~~「百円」~~です", "価格は<s>「百円」</s>です"),
        # As in all of Markdown:
        ("2 ** 3 ** 4", "2 ** 3 ** 4"),
        ("a**(b)**c", "a**(b)**c"),
        ("snake_case_名前", "snake_case_名前"),
        ("重要 ** 必须", "重要 ** 必须"),
        ("a**😀**b", "a**😀**b"),
    ],
)
def test_marks_work_beside_punctuation_of_cjk(text: str, expected: str) -> None:
    assert render(text).replace(' translate="no"', "") == f"<p>{expected}</p>\n"


@pytest.mark.parametrize("rest", ["，后面还有", "。", "、https", "」と", "；"])  # noqa: RUF001 - these are meant
def test_a_link_ends_before_punctuation_of_cjk(rest: str) -> None:
    for url in ("https://example.com/a", "http://example.com/?q=東京", "https://example.com"):
        html = render(f"见 {url}{rest}")
        assert f">{url}</a>{rest}</p>" in html
