"""Badges and preview images say what the leaderboard says, are sound files, and are the same every time."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from made_entries import make_entry

from holdfast.benchmark.curves import robust_accuracy
from holdfast.leaderboard.pages import badges, preview_images
from holdfast.leaderboard.render import environment
from holdfast.leaderboard.site import Site
from holdfast.leaderboard.views import standings_of, views_of
from holdfast.submissions.adversary import is_official, official_adversary
from holdfast.submissions.entry import load_entry

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"
SLUG = "holdfast-tiny-adversarial"


def site_of(*folders: Path) -> Site:
    entries = {entry.slug: entry for entry in map(load_entry, folders)}
    standings = {slug: standings_of(entry) for slug, entry in entries.items()}
    return Site(entries, standings, views_of(standings))


@pytest.fixture(scope="module")
def site() -> Site:
    return site_of(REGISTRY / "entries" / SLUG, REGISTRY / "entries" / "pythia-2-8b-gcg-trained-last")


def texts(content: bytes) -> list[str]:
    root = ElementTree.fromstring(content)
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_badge_says_robust_accuracy_tier_and_evidence(site: Site) -> None:
    files = badges.entry_files(site, SLUG)
    tasks = sorted({key.task for key in site.entries[SLUG].results})
    assert sorted(files) == [f"badges/{SLUG}.svg", *(f"badges/{SLUG}/{task}.svg" for task in tasks)]
    results = [
        result
        for key, result in site.entries[SLUG].results.items()
        if key.task == "imdb" and is_official(result) and key.position == "suffix"
    ]
    share = robust_accuracy(official_adversary(results), 4e12)
    assert texts(files[f"badges/{SLUG}/imdb.svg"]) == [
        "Holdfast · imdb",
        f"{share.value:.1%} at 10 ms, replayed".replace("%", " %"),
    ]


def test_the_badge_of_an_entry_without_all_tasks_is_that_of_its_first() -> None:
    slug = "holdfast-wide-undefended"
    files = badges.entry_files(site_of(REGISTRY / "entries" / slug), slug)
    assert files[f"badges/{slug}.svg"] == files[f"badges/{slug}/password-match.svg"]


def test_a_bound_is_marked(site: Site) -> None:
    said = texts(badges.entry_files(site, "pythia-2-8b-gcg-trained-last")["badges/pythia-2-8b-gcg-trained-last.svg"])
    assert said[1].startswith("≤ ")
    assert said[1].endswith(", reported")


def test_an_entry_without_the_official_adversary_still_has_a_badge(site: Site) -> None:
    assert badges.badge_of(site, SLUG, None, "official-adversary").right == "no official attack"


def test_badges_are_as_wide_as_their_text() -> None:
    assert badges.width_of("iii") < badges.width_of("mmm")
    assert badges.Badge("a", "b", "#000").width == badges.width_of("a") + badges.width_of("b")


def test_preview_images_are_pngs_of_the_size_of_previews_and_do_not_change(site: Site) -> None:
    first = preview_images.pages(site) | preview_images.entry_files(site, SLUG)
    again = preview_images.pages(site) | preview_images.entry_files(site, SLUG)
    assert first == again
    assert sorted(first) == [f"images/entries/{SLUG}.png", "images/holdfast.png"]
    for content in first.values():
        assert content.startswith(b"\x89PNG")
        assert (int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")) == (600, 315)


def test_hostile_names_are_only_text_in_an_image(tmp_path: Path) -> None:
    hostile = "</text><script>alert(1)</script>&lt; " + "W" * 80
    site = site_of(make_entry(tmp_path, name=hostile, family='"&<>'))
    assert preview_images.entry_files(site, "made-up")["images/entries/made-up.png"].startswith(b"\x89PNG")
    drawn = (
        environment()
        .get_template("preview.svg")
        .render(title=hostile, about='"&<>', big="", caption="", foot="", bars=[], title_size=30, big_size=92)
    )
    assert ElementTree.fromstring(drawn) is not None
    assert "<script>" not in drawn
