"""The page of an entry says what its files say, for measured and reported entries, and explains every flag."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from made_entries import make_entry, on_hub
from made_results import HELD, Outcomes, made

from holdfast.benchmark import OFFICIAL_ATTACKS, TIERS
from holdfast.benchmark.curves import attack_success_rate, robust_accuracy
from holdfast.leaderboard.citation import bibtex_of
from holdfast.leaderboard.entry_chart import points_of, rows_of
from holdfast.leaderboard.headline import line_of, lines_of
from holdfast.leaderboard.health import explained_flag
from holdfast.leaderboard.markup import read_page
from holdfast.leaderboard.pages import entry as entry_page
from holdfast.leaderboard.pages import tasks
from holdfast.leaderboard.site import Site
from holdfast.leaderboard.standing import Measured, Reported
from holdfast.leaderboard.transfer import transfers_of
from holdfast.leaderboard.views import ADVERSARY, standings_of, views_of
from holdfast.submissions.entry import Entry, Key, load_entry
from holdfast.submissions.manifest import Author, Defence, TaskEntry, TrainingCompute

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"


def site_of(entries: Sequence[Entry], **more: object) -> Site:
    by_slug = {entry.slug: entry for entry in entries}
    standings = {slug: standings_of(entry) for slug, entry in by_slug.items()}
    return Site(by_slug, standings, views_of(standings), **more)  # pyright: ignore[reportArgumentType]


def page_of(site: Site, slug: str) -> str:
    return entry_page.entry_files(site, slug)[f"entries/{slug}.html"].decode()


@pytest.fixture(scope="module")
def measured() -> Entry:
    return load_entry(REGISTRY / "entries" / "holdfast-tiny-adversarial")


@pytest.fixture(scope="module")
def reported() -> Entry:
    return load_entry(REGISTRY / "entries" / "pythia-2-8b-gcg-trained-last")


@pytest.fixture(scope="module")
def site(measured: Entry, reported: Entry) -> Site:
    return site_of([measured, reported], url="https://example.org/board/")


def test_figures_are_those_of_the_results(site: Site, measured: Entry) -> None:
    key = Key("imdb", "gcg", "suffix")
    result = measured.results[key]
    line = line_of(site, measured.slug, "imdb", "gcg-suffix")
    for tier in TIERS:
        assert str(line.robust[tier]) == str(robust_accuracy(result, tier))
    assert str(line.success) == str(attack_success_rate(result))
    page = page_of(site, measured.slug)
    within, beyond = robust_accuracy(result, result.budget), robust_accuracy(result, 10 * result.budget)
    assert f">{within.value:.1%}<" in page
    assert beyond.bound
    assert f">≤ {within.value:.1%}<" in page, "above the budget only a bound is known"


def test_lines_stand_in_official_order_with_the_official_adversary_first(site: Site, measured: Entry) -> None:
    lines = [(line.task, line.attack) for line in lines_of(site, measured.slug)]
    expected = []
    for task in ("imdb", "spam"):
        attacks = {f"{key.attack}-{key.position}" for key in measured.results if key.task == task}
        official = [f"{name}-suffix" for name in sorted(OFFICIAL_ATTACKS)]
        assert {"gcg-20-suffix", "gcg-infix", "gcg-prefix", *official} <= attacks
        expected += [(task, attack) for attack in (ADVERSARY, *official, *sorted(attacks - set(official)))]
    assert [line for line in lines if line[0] in ("imdb", "spam")] == expected


def test_pages_are_sound_html_and_the_same_every_time(site: Site) -> None:
    for slug in site.entries:
        page = page_of(site, slug)
        assert read_page(page).problems == []
        assert page == page_of(site, slug)


def test_provenance_and_evidence_are_on_the_page(site: Site, measured: Entry) -> None:
    page = page_of(site, measured.slug)
    for key, result in measured.results.items():
        assert result.victim.digest in page
        assert result.trace_sha256 in page
        assert result.task.digest in page
        assert measured.evidence[key].digests.result in page
        assert f"{measured.evidence[key].replay.broken} breaks confirmed" in page
    assert "charged" in page
    assert "holdfast-tiny-adversarial/strings.html" in page


def test_defence_compute_is_given_as_a_share_of_pretraining_where_that_is_known(site: Site, reported: Entry) -> None:
    page = page_of(site, reported.slug)
    assert "4.76e+21 FLOP" in page
    assert "0.141 %" in page, "6.69671e18 of 4.76187e21 on imdb"
    assert "not known" in page, "fine-tuning"


def test_a_reported_entry_shows_its_source_and_has_no_strings(site: Site, reported: Entry) -> None:
    page = page_of(site, reported.slug)
    assert "Effects of Scale on Language Model Robustness" in page
    assert "@article{" in page
    assert "strings.html" not in page
    assert "no health checks" in page


def test_published_points_are_marked_and_what_lies_between_is_dashed(reported: Entry) -> None:
    standing = Reported.of(reported.curves[Key("imdb", "gcg", "prefix")])
    rows = rows_of(points_of(standing), "gcg-prefix", 0, 1e13)
    marked = [row["cost"] for row in rows if row["published"]]
    published = [point for point in standing.curve.points if point.iteration]
    assert marked == pytest.approx([point.cost for point in published], rel=1e-4)
    for row in rows:
        if row["published"] and row["known"]:
            assert not row["bound"]
    assert any(row["bound"] for row in rows)


def variants(outcomes: dict[Key, Outcomes]) -> list:
    results = {
        key: made(
            each, attack=key.attack.removesuffix("-long"), parameters={"length": 20 if "long" in key.attack else 10}
        )
        for key, each in outcomes.items()
    }
    entry = Entry(Path("nowhere"), None, results)  # pyright: ignore[reportArgumentType]
    standings = {
        (key.task, f"{key.attack}-{key.position}"): Measured(result, "scored") for key, result in results.items()
    }
    return transfers_of(entry, "imdb", standings, 4e12)


def test_positions_and_lengths_stand_side_by_side_with_what_was_lost_on_the_same_examples() -> None:
    suffix: Outcomes = [HELD] * 8 + [1000, "wrong"]
    (table,) = variants(
        {
            Key("imdb", "gcg", "infix"): [1000] * 4 + [HELD] * 4 + [1000, "wrong"],
            Key("imdb", "gcg", "suffix"): suffix,
            Key("imdb", "gcg-long", "suffix"): [1000] * 8 + [1000, "wrong"],
        }
    )
    assert [(variant.position, variant.length) for variant in table.variants] == [
        ("suffix", 10),
        ("suffix", 20),
        ("infix", 10),
    ]
    assert [variant.robust.text for variant in table.variants] == ["80.0%", "0.0%", "40.0%"]
    assert table.lengths
    official, longer, infix = table.variants
    assert official.official
    assert official.lost is None
    assert longer.lost is not None
    assert longer.lost.value == pytest.approx(-0.8)
    assert infix.lost is not None
    assert infix.lost.value == pytest.approx(-0.4)
    assert infix.lost.interval[0] < -0.4 < infix.lost.interval[1]


def test_without_the_official_variant_nothing_is_measured_against_another() -> None:
    (table,) = variants(
        {Key("imdb", "gcg-long", "suffix"): [1000, HELD, HELD], Key("imdb", "gcg", "infix"): [1000, 1000, HELD]}
    )
    assert [(each.position, each.length, each.official, each.lost) for each in table.variants] == [
        ("suffix", 20, False, None),
        ("infix", 10, False, None),
    ]
    assert not table.paired


def test_variants_that_were_run_for_less_are_compared_where_all_were_run() -> None:
    """The official one to 10 ms on four examples, another to 1 ms on two of them."""
    results = {
        Key("imdb", "gcg", "suffix"): made([3 * 10**11, 3 * 10**12, HELD, HELD], budget=4e12),
        Key("imdb", "gcg", "infix"): made([3 * 10**10, 3 * 10**11], budget=4e11),
    }
    entry = Entry(Path("nowhere"), None, results)  # pyright: ignore[reportArgumentType]
    standings = {("imdb", f"gcg-{key.position}"): Measured(result, "scored") for key, result in results.items()}
    results[Key("imdb", "gcg", "prefix")] = held = made([3 * 10**11, HELD], budget=4e11)
    standings["imdb", "gcg-prefix"] = Measured(held, "scored")
    (table,) = transfers_of(entry, "imdb", standings, 4e12)
    assert table.tier == 4e11
    assert table.examples
    assert [(each.examples, each.robust.text, each.success and each.success.text) for each in table.variants] == [
        (4, "75.0%", "25.0%"),
        (2, "0.0%", "100.0%"),
        (2, "50.0%", "50.0%"),
    ]
    assert [each.lost and each.lost.value for each in table.variants] == [None, pytest.approx(-0.5), pytest.approx(0)]


def test_one_position_is_no_transfer(site: Site, measured: Entry) -> None:
    assert "Transfer" in page_of(site, measured.slug)
    measured = load_entry(REGISTRY / "entries" / "holdfast-tiny-undefended")
    site = site_of([measured])
    assert variants({Key("imdb", "gcg", "suffix"): [HELD], Key("imdb", "random_token", "suffix"): [HELD]}) == []
    assert "Transfer" not in page_of(site, measured.slug)


def test_reported_positions_stand_side_by_side_without_paired_figures(site: Site, reported: Entry) -> None:
    page = page_of(site, reported.slug)
    assert "Transfer to other positions" in page
    assert "Against the official variant" not in page


def test_flags_are_explained_and_unknown_ones_shown_as_they_are(tmp_path: Path) -> None:
    entry = load_entry(make_entry(tmp_path, checkpoints={"imdb": on_hub()}))
    key = next(iter(entry.results))
    strange = entry.results[key].model_copy(update={"flags": ["<b>new\u202eflag"]})
    entry = Entry(entry.folder, entry.manifest, {**entry.results, key: strange})
    page = page_of(site_of([entry]), entry.slug)
    assert "Constant predictor" in page
    assert "gives nearly every text the same label" in page
    assert "&lt;b&gt;new" in page
    assert "\u202e" not in page
    assert explained_flag("other-data").startswith("Other data.")


def test_few_examples_are_a_preview_without_a_rank(tmp_path: Path) -> None:
    entry = load_entry(make_entry(tmp_path))
    page = page_of(site_of([entry]), entry.slug)
    assert '<span class="badge preview">preview</span>' in page
    assert " of 1<span" not in page


def test_names_of_strangers_do_nothing(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>{{ 7*7 }}'
    folder = make_entry(
        tmp_path,
        name=hostile,
        family=hostile,
        description=hostile,
        authors=[Author(name=hostile, url="https://example.org/")],
        defence=Defence(kind="other", description=hostile),
    )
    entry = load_entry(folder)
    page = page_of(site_of([entry]), entry.slug)
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page
    assert 'rel="nofollow noopener noreferrer external"' in page
    assert read_page(page).problems == []


def test_a_task_that_is_not_installed_breaks_nothing(tmp_path: Path) -> None:
    entry = load_entry(make_entry(tmp_path))
    moved = {Key("their-task", key.attack, key.position): result for key, result in entry.results.items()}
    compute = {"their-task": TaskEntry(checkpoint=on_hub(), parameters=5, compute=TrainingCompute(defence=0.0))}
    entry = Entry(entry.folder, entry.manifest.model_copy(update={"tasks": compute}), moved)
    site = site_of([entry])
    page = page_of(site, entry.slug)
    assert 'href="../tasks/their-task.html"' in page
    assert b"a third party's, and is not installed" in tasks.pages(site)["tasks/their-task.html"]
    assert read_page(page).problems == []


def test_bibtex_escapes_what_bibtex_would_read(tmp_path: Path) -> None:
    authors = [Author(name="The Holdfast authors"), Author(name="Ada & {Co}")]
    entry = load_entry(make_entry(tmp_path, name="50 % better_now", authors=authors))
    cited = bibtex_of(entry, None)
    assert r"50 \% better\_now" in cited
    assert r"{The Holdfast authors} and Ada \& \{Co\}" in cited
    assert "url" not in cited
