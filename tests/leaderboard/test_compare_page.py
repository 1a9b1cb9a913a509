"""The page that compares two entries says in the browser what `holdfast compare` says, and for pairs of any kind."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
import vl_convert
from made_entries import make_entry, on_hub
from made_results import HELD, WRONG, made
from playwright.sync_api import Browser, Page
from scipy import stats
from watched_pages import Watched, watched

from holdfast.benchmark import OFFICIAL_ATTACKS, TIERS, Result, format_gpu_time
from holdfast.benchmark.curves import Proportion
from holdfast.leaderboard.neighbours import Pair, neighbours
from holdfast.leaderboard.pages.compare import notes, pages, pair_files, summary
from holdfast.leaderboard.records import Lengths, lengths_of, task_record
from holdfast.leaderboard.render import STATIC
from holdfast.leaderboard.site import Files, Site
from holdfast.leaderboard.views import standings_of, views_of
from holdfast.submissions.compare import Row, compare_results
from holdfast.submissions.entry import load_registry
from holdfast.submissions.paired import unpaired_difference

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"
HOSTILE = "<img src=x onerror=alert(1)>\u3164</script>"
TIER_TEXTS = [[tier, format_gpu_time(tier)] for tier in TIERS]
EARLY, LATE, OTHER = "early", "late", "other"
REPORTED = ("pythia-14m-finetuned", "pythia-12b-finetuned")


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    """An empty page with the statistics."""
    page = browser.new_page()
    for name in ("statistics.js", "comparison.js"):
        page.add_script_tag(path=STATIC / name)
    yield page
    page.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three measured entries, one of them with a hostile name, and two reported ones of the registry."""
    registry = tmp_path_factory.mktemp("registry")
    make_entry(registry, EARLY, checkpoints={"password-match": on_hub()}, examples=200, name="Early")
    make_entry(registry, LATE, checkpoints={"password-match": on_hub()}, examples=200, budget=6e11, name=HOSTILE)
    make_entry(registry, OTHER, checkpoints={"spam": on_hub()}, examples=200, name="Of another task", family=HOSTILE)
    for slug in REPORTED:
        shutil.copytree(REGISTRY / "entries" / slug, registry / "entries" / slug)
    entries = {entry.slug: entry for entry in load_registry(registry)}
    standings = {slug: standings_of(entry) for slug, entry in entries.items()}
    return Site(entries, standings, views_of(standings))


@pytest.fixture(scope="module")
def files(site: Site) -> Files:
    return every_page(site)


def every_page(site: Site) -> Files:
    made = pages(site)
    for pair in neighbours(site):
        made |= pair_files(site, pair)
    return made


@pytest.fixture(scope="module")
def folder(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as files."""
    folder = tmp_path_factory.mktemp("site")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    shutil.copytree(STATIC, folder / "static")
    (folder / "static" / "vega.js").write_text("(()=>{" + vl_convert.javascript_bundle() + "\n})();\n")
    return folder


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Watched]:
    """A page on which nothing may go wrong."""
    with watched(browser, folder) as visit:
        yield visit
        assert visit.wrong == []


def records(results: list[Result], lengths: Lengths) -> dict:
    tasks = list(dict.fromkeys(result.task.name for result in results))
    return {
        "tasks": [
            task_record(task, [each for each in results if each.task.name == task], lengths[task]) for task in tasks
        ]
    }


def in_browser(page: Page, base: list[Result], candidate: list[Result]) -> dict:
    lengths = lengths_of([*base, *candidate])
    sides = [records(base, lengths), records(candidate, lengths), TIER_TEXTS]
    # As JSON text, because numbers like null are otherwise converted on the way.
    return page.evaluate("text => holdfastCompare(...JSON.parse(text))", json.dumps(sides))


def assert_same(row: Row, other: dict) -> None:
    assert (row.task, row.attack, row.tier, row.verdict, row.reason, row.examples) == tuple(
        other[name] for name in ("task", "attack", "tier", "verdict", "reason", "examples")
    )
    for ours, theirs in ((row.base, other.get("base")), (row.candidate, other.get("candidate"))):
        assert (ours and [ours.successes, ours.total]) == theirs
    assert (row.lost, row.gained) == (other.get("lost"), other.get("gained"))
    for name, relative, absolute in (
        ("difference", 1e-9, 1e-12),
        ("interval", 1e-9, 1e-12),
        ("statistic", 1e-9, 1e-9),
        ("p", 1e-6, 0),
        ("adjusted", 1e-6, 0),
    ):
        expected = getattr(row, name)
        found = other.get(name)
        assert found is None if expected is None else found == pytest.approx(expected, rel=relative, abs=absolute), name


def assert_same_comparison(page: Page, base: list[Result], candidate: list[Result]) -> None:
    comparison = compare_results(base, candidate)
    found = in_browser(page, base, candidate)
    assert len(found["rows"]) == len(comparison.rows)
    for row, other in zip(comparison.rows, found["rows"], strict=True):
        assert_same(row, other)
    assert tuple(found["added"]) == comparison.added


def release(chance: random.Random) -> list[Result]:
    """Results of one to three tasks, by one to three attacks, that now and then are of other data."""
    results = []
    hardness = chance.choice([1e9, 1e11, 1e12])
    for task in chance.sample(["imdb", "spam", "harmless"], k=chance.randint(1, 3)):
        count = chance.choice([1, 2, 40, 200])
        asked = {
            "task": task,
            "digest": chance.choice("000001"),
            "version": chance.choice([1, 1, 1, 1, 1, 2]),
            "first": chance.choice([0, 0, 0, 0, 0, 7]),
        }
        for attack in chance.sample(["gcg", "random_token", "beam"], k=chance.randint(1, 3)):
            outcomes = [
                chance.choices([WRONG, HELD, int(chance.expovariate(1 / hardness)) + 1, 10**11], weights=[1, 3, 5, 1])[
                    0
                ]
                for _ in range(count)
            ]
            budget = chance.choice([4e10, 4e11, 4e12, 4e12, 1e11, 3e13])
            outcomes = [HELD if isinstance(each, int) and each > budget else each for each in outcomes]
            parameters = {"width": chance.choice([15, 15, 15, 20]), "shared": True} if attack == "beam" else None
            results.append(made(outcomes, attack=attack, budget=budget, parameters=parameters, **asked))
            if attack == "gcg" and chance.random() < 0.4:
                # A variant of another length, before or after the official one.
                longer = made(outcomes[::-1], attack=attack, budget=budget, parameters={"length": 20}, **asked)
                results.insert(len(results) - chance.randint(0, 1), longer)
    return results


@pytest.mark.parametrize("seed", range(40))
def test_the_browser_compares_as_python_does(scripts: Page, seed: int) -> None:
    chance = random.Random(seed)
    assert_same_comparison(scripts, release(chance), release(chance))


def test_the_browser_compares_real_entries_as_python_does(scripts: Page) -> None:
    measured = [list(entry.results.values()) for entry in load_registry(REGISTRY) if entry.results]
    for base, candidate in permutations(measured, 2):
        assert_same_comparison(scripts, base, candidate)


def test_two_proportions_are_compared_as_python_compares_them(scripts: Page) -> None:
    chance = random.Random(1)
    for _ in range(100):
        (held, total), (now, others) = ((chance.randint(0, n), n) for n in (chance.randint(1, 500) for _ in range(2)))
        found = scripts.evaluate(
            "pair => holdfastStatistics.unpairedDifference(...pair)", [[held, total], [now, others]]
        )
        expected = unpaired_difference(Proportion(held, total), Proportion(now, others))
        assert found["difference"] == pytest.approx(expected.value, rel=1e-9, abs=1e-12)
        assert found["interval"] == pytest.approx(expected.interval, rel=1e-9, abs=1e-12)
        assert found["p"] == pytest.approx(expected.p, rel=1e-6)
        sides = scripts.evaluate("pair => holdfastStatistics.fisherSides(...pair)", [[held, total], [now, others]])
        table = [[now, others - now], [held, total - held]]
        expected_sides = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
        assert sides == pytest.approx(expected_sides, rel=1e-6)


def test_the_tails_of_the_normal_distribution_are_exact(scripts: Page) -> None:
    places = [-9.0, -2.5, -0.1, 0.0, 0.3, 1.96, 2.8, 2.83, 5.0, 12.0, 30.0]
    found = scripts.evaluate("places => places.map(holdfastStatistics.normalAbove)", places)
    assert found == pytest.approx(list(stats.norm.sf(places)), rel=1e-11)


def rows_of(page: Page, selector: str) -> list[list[str]]:
    """The text of all cells."""
    rows = page.locator(f"{selector} tbody tr").all()
    return [[re.sub(r"\s+", " ", cell) for cell in row.locator("th, td").all_inner_texts()] for row in rows]


def test_the_page_shows_what_the_page_of_neighbours_shows(visit: Watched, site: Site) -> None:
    (pair,) = neighbours(site)
    visit.open(pair.path)
    drawn = rows_of(visit.page, "table")
    said = visit.page.locator(".lead").inner_text()
    visit.open(f"compare.html?base={pair.base}&candidate={pair.candidate}")
    visit.page.wait_for_selector("figure[data-drawn]")
    assert rows_of(visit.page, "#result table") == drawn
    assert len(drawn) == 1 + (1 + len(OFFICIAL_ATTACKS)) * 3
    assert said in visit.page.locator("#status").inner_text()
    assert visit.page.locator("#result figure svg path").count() > 4


def test_names_of_strangers_are_text(visit: Watched) -> None:
    visit.open(f"compare.html?base={EARLY}&candidate={LATE}")
    visit.page.wait_for_selector("figure[data-drawn]")
    said = visit.page.locator("#status").inner_text()
    assert "<img src=x onerror=alert(1)>\\u{3164}</script> against Early" in said
    assert visit.page.locator("main img").count() == 0


def test_the_choice_is_in_the_address(visit: Watched) -> None:
    visit.open("compare.html")
    visit.page.select_option("#base", EARLY)
    visit.page.select_option("#candidate", LATE)
    visit.page.wait_for_selector("#result table")
    visit.page.click("#swap")
    visit.page.select_option("#task", "password-match")
    assert visit.page.url == f"{visit.root.as_uri()}/compare.html?base={LATE}&candidate={EARLY}&task=password-match"
    visit.page.reload()
    visit.page.wait_for_selector("#result table")
    assert visit.page.locator("#base").input_value() == LATE


def test_another_task_hides_rows_and_corrects_no_less(visit: Watched) -> None:
    base, candidate = REPORTED
    visit.open(f"compare.html?base={base}&candidate={candidate}")
    visit.page.wait_for_selector("#result table")
    said, every = visit.page.locator("#status").inner_text(), rows_of(visit.page, "#result table")
    visit.page.select_option("#task", "imdb")
    visit.page.wait_for_function("document.querySelectorAll('#result section').length === 1")
    assert visit.page.locator("#status").inner_text() == said
    shown = rows_of(visit.page, "#result table")
    assert shown
    assert all(row in every for row in shown)


@pytest.mark.parametrize(("base", "candidate"), [REPORTED, (EARLY, REPORTED[0]), (REPORTED[0], LATE)])
def test_published_figures_are_compared_with_a_caution(visit: Watched, base: str, candidate: str) -> None:
    visit.open(f"compare.html?base={base}&candidate={candidate}")
    visit.page.wait_for_selector("figure[data-drawn]")
    assert "a difference may come from the data alone" in visit.page.locator("#caution").inner_text()
    assert "not known to be the same" in visit.page.locator("#result caption").first.inner_text()


def test_entries_without_a_common_task_are_told_apart_in_words(visit: Watched) -> None:
    visit.open(f"compare.html?base={EARLY}&candidate={OTHER}")
    visit.page.wait_for_selector("#result section")
    assert "Nothing could be tested" in visit.page.locator("#status").inner_text()
    result = visit.page.locator("#result").inner_text()
    assert "Missing: the candidate lacks the task" in result
    assert "Only in the candidate, so not compared: spam × beast, spam × gcg" in result


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "Choose two entries."),
        (f"?base={EARLY}", "Choose two entries."),
        (f"?base={EARLY}&candidate={EARLY}", "Choose two different entries."),
        (
            f"?base=../../x&candidate={LATE}",
            "The link names a base that this site does not have: choose from the lists.",
        ),
        ("?base=%3Cb%3E&candidate=nobody&task=x", "The link names a base and a candidate and a task that this site"),
    ],
)
def test_links_to_what_is_not_there_get_a_sentence(visit: Watched, query: str, said: str) -> None:
    visit.open("compare.html" + query)
    assert visit.page.locator("#status").inner_text().startswith(said)
    assert visit.page.locator("#result").inner_text() == ""


def test_without_a_script_the_page_lists_the_pages_of_neighbours(files: Files, site: Site) -> None:
    (pair,) = neighbours(site)
    page = files["compare.html"].decode()
    assert f'<a href="{pair.path}">' in page
    assert "needs JavaScript" in page
    assert HOSTILE not in page
    assert "\u3164" not in page


def test_neighbours_are_measured_entries_on_the_same_examples_each_pair_once(site: Site) -> None:
    """The two stand next to each other in one table; the third was asked about another task."""
    (pair,) = neighbours(site)
    assert {pair.base, pair.candidate} == {EARLY, LATE}
    assert pair.path == f"compare/{pair.base}--{pair.candidate}.html"


def test_the_page_of_neighbours_stands_without_scripts(files: Files, site: Site) -> None:
    (pair,) = neighbours(site)
    page = files[pair.path].decode()
    rows = compare_results(*(list(site.entries[slug].results.values()) for slug in (pair.base, pair.candidate))).rows
    assert summary(rows) in page
    assert page.count("<svg") >= 3
    assert len(re.findall("<h1", page)) == 1
    assert HOSTILE not in page


def test_what_is_missing_is_said_once_with_its_places() -> None:
    rows = compare_results([made([HELD] * 9), made([HELD] * 9, attack="beam")], [made([HELD] * 9, budget=4e11)]).rows
    assert notes(rows) == [
        "Missing: the candidate's budget ends at 1 ms (GCG at 10 ms).",
        "Missing: the candidate lacks it (beam).",
    ]


def test_the_same_registry_gives_the_same_bytes(files: Files, site: Site) -> None:
    assert every_page(site) == files


def test_every_entry_has_a_script_of_its_own(files: Files, site: Site) -> None:
    for slug in site.entries:
        script = files[f"data/records/{slug}.js"].decode()
        assert script.startswith(f'holdfastRecords("{slug}",{{')
        assert script.isascii()


def test_a_pair_names_one_page() -> None:
    assert Pair("a-b", "c").path != Pair("a", "b-c").path
