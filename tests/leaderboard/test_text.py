"""Strangers' text is shown whole, visibly, and does nothing."""

import unicodedata

import pytest

from holdfast.leaderboard.text import plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
        ("a\u202eb", 'a<span class="code" title="U+202E RIGHT-TO-LEFT OVERRIDE">202E</span>b'),
        ("a\u200bb", 'a<span class="code" title="U+200B ZERO WIDTH SPACE">200B</span>b'),
        ("\x00", '<span class="code" title="U+0000 control character">0000</span>'),
        ("a\nb", 'a<span class="code" title="U+000A control character">⏎</span>b'),
        ("naïve 日本 😀", "naïve 日本 😀"),
    ],
)
def test_text_is_escaped_and_what_hides_is_boxed(text: str, shown: str) -> None:
    assert str(visible(text)) == shown


def test_no_character_that_hides_reaches_a_page() -> None:
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x30000))))
    for shown in (str(visible(every)), plain(every)):
        left = {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}
        assert not left
        assert "<script" not in shown


def test_stacks_of_marks_are_cut_and_the_rest_is_named() -> None:
    stack = "a" + "\u0301" * 10
    assert str(visible(stack)).count("\u0301</span>") == 0
    assert plain(stack).count("\u0301") == 3
    assert plain(stack).count("\\u{301}") == 7


def test_long_text_is_cut_where_asked() -> None:
    assert str(visible("x" * 100, 10)) == "x" * 9 + "…"
    assert plain("x" * 100, 10) == "x" * 9 + "…"
