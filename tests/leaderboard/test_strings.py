"""Attack strings are shown whole, visible and inert, with what they did; texts only where the data set is at hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_entries import make_entry

from holdfast.benchmark import OFFICIAL_ATTACKS
from holdfast.leaderboard.attack_strings import strings_of
from holdfast.leaderboard.markup import read_page
from holdfast.leaderboard.pages import strings
from holdfast.leaderboard.site import Site
from holdfast.leaderboard.views import standings_of
from holdfast.submissions.entry import Entry, Key, file_of, load_entry
from holdfast.tasks import Example

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"


def site_of(entry: Entry, texts: dict[str, dict[str, Example]] | None = None) -> Site:
    return Site({entry.slug: entry}, {entry.slug: standings_of(entry)}, {}, texts or {})


def payload(content: bytes) -> dict:
    text = content.decode("ascii")
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


@pytest.fixture(scope="module")
def entry() -> Entry:
    return load_entry(REGISTRY / "entries" / "holdfast-tiny-adversarial")


@pytest.fixture
def made_up(tmp_path: Path) -> Entry:
    return load_entry(make_entry(tmp_path, examples=60))


def test_broken_examples_come_first_the_cheapest_first(entry: Entry) -> None:
    key = Key("imdb", "gcg", "suffix")
    found = strings_of(entry, key)
    assert found is not None
    costs = [each.cost for each in found]
    broken = [cost for cost in costs if cost is not None]
    assert len(broken) == entry.results[key].summary.broken
    assert costs == sorted(broken) + [None] * (len(costs) - len(broken))
    assert all(each.before == each.label for each in found), "only what is right when clean is attacked"
    assert all((each.after != each.label) == (each.cost is not None) for each in found)


def test_tokens_make_up_the_string(entry: Entry) -> None:
    found = strings_of(entry, Key("spam", "gcg", "suffix"))
    assert found
    for each in found:
        assert each.tokens is not None
        assert len(each.tokens) == each.count == 10
        assert "".join(each.tokens) == each.string


def test_without_a_fitting_tokenizer_tokens_are_only_counted(made_up: Entry) -> None:
    found = strings_of(made_up, Key("password-match", "gcg", "suffix"))
    assert found
    assert {(each.tokens, each.count) for each in found} == {(None, 10)}


def test_a_trace_that_its_result_does_not_name_is_not_shown(made_up: Entry) -> None:
    key = Key("password-match", "gcg", "suffix")
    result = made_up.results[key].model_copy(update={"trace_sha256": "0" * 64})
    changed = Entry(made_up.folder, made_up.manifest, {key: result})
    assert strings_of(changed, key) is None
    page = strings.entry_files(site_of(changed), changed.slug)["entries/made-up/strings.html"].decode()
    assert "cannot be shown" in page
    file_of(made_up.folder, "traces", key).unlink()
    assert strings_of(made_up, key) is None


def test_hidden_characters_are_visible_and_nothing_is_markup(made_up: Entry) -> None:
    files = strings.entry_files(site_of(made_up), made_up.slug)
    page = files["entries/made-up/strings.html"].decode()
    assert "\u202e" not in page
    assert "RIGHT-TO-LEFT OVERRIDE" in page
    assert "<b>|" not in page
    assert "&lt;b&gt;|" in page
    assert read_page(page).problems == []
    for path, content in files.items():
        if path.endswith(".js"):
            assert b"<" not in content
            assert b"\\u202e" not in content


def test_all_strings_are_in_the_data_and_the_first_twenty_in_the_page(made_up: Entry) -> None:
    files = strings.entry_files(site_of(made_up), made_up.slug)
    data = payload(files["data/strings/made-up/password-match-gcg-suffix.js"])
    assert len(data["rows"]) == 48, "of 60, every fifth was wrong when clean"
    assert data["labels"] == ["no", "yes"]
    page = files["entries/made-up/strings.html"].decode()
    assert page.count('<li class="string">') == len(OFFICIAL_ATTACKS) * strings.PAGE
    assert "12 more were wrong without a string" in page
    assert "not shown: the data set was not at hand" in page


def test_strings_made_to_be_large_are_cut(made_up: Entry) -> None:
    (section,) = strings.sections_of(site_of(made_up), made_up)[:1]
    large = replace(section, found=[replace(each, string="\u202e" * 4_000) for each in section.found or ()] * 10)
    assert len(strings.data_of(large)) < 300_000
    assert strings.Shown(large.found[0], ("no", "yes"), None, False).string.count("<span") == 300


def test_texts_are_excerpts_around_the_slot_once_per_task(made_up: Entry) -> None:
    long = Example("password-match-0", "x" * 1000 + "<i>\nend", "\nAnswer:" + "y" * 1000, 0)
    site = site_of(made_up, {"password-match": {long.id: long}})
    files = strings.pages(site)
    assert list(files) == ["data/texts/password-match.js"]
    before, after = payload(files["data/texts/password-match.js"])["texts"][long.id]
    assert before[0].startswith("…xxx")
    assert before[-1] == "\nend"
    assert after[-1].endswith("y…")
    assert len(files["data/texts/password-match.js"]) < 1000
    page = strings.entry_files(site, made_up.slug)["entries/made-up/strings.html"].decode()
    assert "<mark>&lt;b&gt;|`0`" in page
    assert "not at hand" not in page


def test_offensive_texts_stay_closed_until_they_are_opened(made_up: Entry) -> None:
    example = Example("harmless-1", "a", "b", 0)
    site = site_of(made_up, {"harmless": {example.id: example}})
    found = strings_of(made_up, Key("password-match", "gcg", "suffix"))
    assert found
    assert strings.shown(site, "harmless", found[0]).closed
    assert not strings.shown(site, "imdb", found[0]).closed


def test_names_from_files_are_safe_in_paths_and_ids() -> None:
    assert strings.safe_name("imdb-random_token-suffix") == "imdb-random_token-suffix"
    assert strings.safe_name('a"b/../c d') == "a.22b.2f.2e.2e.2fc.20d"
