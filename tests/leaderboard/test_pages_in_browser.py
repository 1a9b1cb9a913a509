"""The real site in a real browser: it stands alone, is light and quick, fits a phone, and keeps its state."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from watched_pages import OVERLAPS, SIDEWAYS, Watched, page_types, watched

from holdfast.benchmark import format_gpu_time
from holdfast.cli.show import figures
from holdfast.leaderboard.checking import check_site
from holdfast.submissions.entry import load_entry

ENTRIES = Path(__file__).resolve().parents[2] / "submissions" / "entries"
MEASURED = max(ENTRIES.glob("*/results"), key=lambda folder: (len(list(folder.iterdir())), folder)).parent
TABLE = "leaderboard/password-match.html"


@pytest.fixture
def opened(browser: Browser, built_site: Path) -> Iterator[Watched]:
    with watched(browser, built_site) as visit:
        yield visit
        assert visit.wrong == []


@pytest.mark.slow
def test_the_site_is_whole(built_site: Path) -> None:
    assert list(map(str, check_site(built_site))) == []


def test_every_kind_of_page_stands_alone_and_fits_any_window(browser: Browser, built_site: Path) -> None:
    """No error, nothing loaded from elsewhere, nothing wider than the window: desktop, phone, and a narrow phone."""
    for phone in (False, True):
        with watched(browser, built_site, phone=phone) as visit:
            for path in page_types(built_site):
                visit.open(path)
                for width in (390, 360) if phone else (1280,):
                    visit.page.set_viewport_size({"width": width, "height": 800})
                    assert visit.page.evaluate(SIDEWAYS) == [], f"{path} at {width} px"
                assert visit.wrong == [], path


def test_nothing_lies_over_anything_else(browser: Browser, built_site: Path) -> None:
    """Headings, paragraphs, controls, tables and figures of a page, and the labels of its chart, keep clear."""
    for phone in (False, True):
        with watched(browser, built_site, phone=phone) as visit:
            for path in page_types(built_site):
                visit.open(path)
                assert visit.page.evaluate(OVERLAPS) == [], f"{path}{' on a phone' if phone else ''}"


def test_the_leaderboard_is_light(browser: Browser, built_site: Path) -> None:
    """What opening a table takes is under 250 kB compressed, and the chart's library is not part of it."""
    for path in ("index.html", TABLE):
        with watched(browser, built_site) as visit:
            visit.open(path)
            visit.page.wait_for_selector("html[data-ready]")
            loaded = [built_site / url.removeprefix(f"{built_site.as_uri()}/") for url in set(visit.requests)]
            assert built_site / path in loaded
            assert not [file for file in loaded if file.name == "vega.js"]
            assert sum(len(gzip.compress(file.read_bytes())) for file in loaded) < 250_000


@pytest.mark.alone
def test_the_leaderboard_is_ready_within_a_second(opened: Watched) -> None:
    took = []
    for _ in range(3):
        opened.open(TABLE)
        opened.page.wait_for_selector("html[data-ready]")
        took.append(opened.page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
    assert median(took) < 1000


@pytest.mark.alone
def test_sorting_and_filtering_take_less_than_a_tenth_of_a_second(opened: Watched) -> None:
    """Until the changed table is laid out; the best of six each, as machines are shared."""
    opened.open(TABLE)
    took = opened.page.evaluate(
        """() => {
          const timed = (change) => {
            const times = [0, 1, 2, 3, 4, 5].map((number) => {
              const started = performance.now();
              change(number);
              document.getElementById("table").getBoundingClientRect();
              return performance.now() - started;
            });
            return Math.min(...times);
          };
          const set = (id, value) => {
            const control = document.getElementById(id);
            control.value = value;
            control.dispatchEvent(new Event(id === "search" ? "input" : "change", { bubbles: true }));
          };
          const headers = [...document.querySelectorAll("th button")];
          return {
            sort: timed((number) => headers[number + 1].click()),
            search: timed((number) => set("search", ["p", "py", ""][number % 3])),
            evidence: timed((number) => set("evidence", ["replayed", "reported", ""][number % 3])),
            tier: timed((number) => set("tier", String(number))),
          };
        }"""
    )
    assert {name: time for name, time in took.items() if time >= 100} == {}


def view(page: Page) -> dict[str, object]:
    """What the table shows: its rows in order, and the state of its controls."""
    return page.evaluate(
        """() => ({
          rows: [...document.querySelectorAll("#table tbody tr")].map((row) => row.innerText),
          sorted: [...document.querySelectorAll("th[aria-sort]")].map((th) => [th.innerText, th.ariaSort]),
          controls: [...document.querySelectorAll("#controls select, #controls input")].map((each) =>
            each.type === "checkbox" ? each.checked : each.value),
        })"""
    )


def test_the_address_keeps_the_state_of_the_table(opened: Watched) -> None:
    page = opened.page
    opened.open(TABLE)
    first = view(page)
    page.select_option("#attack", index=1)
    page.select_option("#axis", "relative")
    page.select_option("#tier", index=1)
    page.fill("#search", "pythia")
    page.get_by_role("button", name="Parameters").click()
    page.locator("details.chooser").evaluate("(element) => { element.open = true; }")
    page.uncheck("[name=column][value=family]")
    chosen = view(page)
    assert chosen != first
    address = page.url
    page.reload()
    assert view(page) == chosen
    opened.open("index.html")
    page.goto(address)
    assert view(page) == chosen
    page.click("#reset")
    assert view(page) == first
    assert page.url == f"{opened.root.as_uri()}/{TABLE}"


def test_the_numbers_are_those_of_show(opened: Watched) -> None:
    """Clean accuracy, robust accuracy and interval at each tier of every attack, in the table as from the command."""
    page = opened.page
    entry = load_entry(MEASURED)
    compared = 0
    for task in dict.fromkeys(key.task for key in entry.results):
        opened.open(f"leaderboard/{task}.html")
        tiers = page.evaluate("JSON.parse(document.getElementById('data').textContent).tiers.absolute")
        for key in (key for key in entry.results if key.task == task):
            said: Any = figures(entry.results[key])
            page.select_option("#attack", f"{key.attack}-{key.position}")
            for point in said["robust_accuracy"]:
                number = [cost for cost, _ in tiers].index(point["cost"])
                page.select_option("#tier", str(number))
                row = page.locator(f"tr[data-slug={entry.slug}]").inner_text()
                interval = re.escape(f"[{point['low']:.1%}, {point['high']:.1%}]")
                assert re.search(rf"\b{point['value']:.1%}\s+{interval}", row), row
                assert f"{said['clean_accuracy']['value']:.1%}" in row
                if (cost := said["median_break_cost"]) is not None:
                    assert format_gpu_time(cost) in row
                compared += 1
    assert compared >= 12


def test_the_chart_becomes_interactive_when_it_is_looked_at(opened: Watched) -> None:
    opened.open(TABLE)
    opened.page.hover("#chart")
    opened.page.wait_for_selector("#chart[data-drawn]")
    opened.page.wait_for_selector("#chart .vega-embed svg, #chart svg.marks")
    opened.page.get_by_label("Pick out").first.click()
