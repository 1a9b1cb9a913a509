"""Everybody can use the site: axe finds nothing, the keyboard reaches everything, pages stand without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from watched_pages import Watched, page_types, watched

TABLE = "leaderboard/password-match.html"
RULES = {"resultTypes": ["violations"], "preload": False}
CONTRAST = {**RULES, "runOnly": ["color-contrast", "link-in-text-block"]}
"""What a theme can change."""

FEW = """
for (const list of document.querySelectorAll("tbody, ol.items")) {
  for (const row of [...list.children].slice(8)) row.remove();
}
for (const drawing of document.querySelectorAll("svg[aria-hidden=true]")) drawing.replaceChildren();
"""
"""Rows are alike, and nobody is told of a hidden drawing's parts: axe need not take seconds for them."""


def violations(page: Page, options: dict[str, object]) -> list[str]:
    """What axe finds: the rule, and the first elements that break it."""
    page.evaluate(FEW)
    found = Axe().run(page, options=options).response["violations"]
    return [f"{each['id']}: {' | '.join(node['html'][:160] for node in each['nodes'][:3])}" for each in found]


@pytest.mark.slow
@pytest.mark.parametrize(("theme", "options"), [("light", RULES), ("dark", CONTRAST)])
def test_axe_finds_nothing_on_any_kind_of_page(
    browser: Browser, built_site: Path, theme: str, options: dict[str, object]
) -> None:
    with watched(browser, built_site, color_scheme=theme) as visit:
        found = {}
        for path in page_types(built_site, one=theme == "dark"):
            visit.open(path)
            found[path] = violations(visit.page, options)
        assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("path", "drawn"),
    [
        (f"{TABLE}?axis=relative&search=pythia&sort=-size", "#chart[data-drawn]"),
        ("compare.html?base=holdfast-tiny-undefended&candidate=holdfast-tiny-adversarial", "#result [data-drawn]"),
    ],
)
def test_axe_finds_nothing_in_what_scripts_have_drawn(
    browser: Browser, built_site: Path, path: str, drawn: str
) -> None:
    with watched(browser, built_site, color_scheme="dark", phone=True) as visit:
        visit.open(path)
        visit.page.wait_for_selector(drawn)
        assert violations(visit.page, RULES) == []
        assert visit.wrong == []


@pytest.fixture
def table(browser: Browser, built_site: Path) -> Iterator[Watched]:
    with watched(browser, built_site, reduced_motion="reduce") as visit:
        visit.open(f"{TABLE}?search=holdfast")
        visit.page.wait_for_selector("html[data-ready]")
        yield visit
        assert visit.wrong == []


CONTROLS = "a[href], button, select, input, summary, [tabindex='0']"


def test_tab_reaches_every_control_and_shows_where_it_is(table: Watched) -> None:
    page = table.page
    page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)].forEach((each, number) => {
          each.dataset.number = number;
        })""",
        CONTROLS,
    )
    expected = page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)]
          .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled)
          .map((each) => each.dataset.number)""",
        CONTROLS,
    )
    reached = []
    for _ in range(len(expected) + 5):
        page.keyboard.press("Tab")
        number, outline, box = page.evaluate(
            """() => {
              const { activeElement: each } = document;
              const { outlineStyle, outlineWidth } = getComputedStyle(each);
              const box = each.getBoundingClientRect();
              const seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
              return [each.dataset.number, `${outlineStyle} ${outlineWidth}`, seen];
            }"""
        )
        if number is None:
            continue
        reached.append(number)
        assert not outline.startswith("none"), page.evaluate("document.activeElement.outerHTML")
        assert box, page.evaluate("document.activeElement.outerHTML")
    assert set(expected) - set(reached) == set()
    assert reached[: len(expected)] == sorted(reached[: len(expected)], key=int), "the order is that of the page"


def test_every_control_works_from_the_keyboard(table: Watched) -> None:
    page = table.page
    heading = page.locator("th[data-column=size]")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    first = heading.get_attribute("aria-sort")
    page.keyboard.press("Space")
    assert {first, heading.get_attribute("aria-sort")} == {"ascending", "descending"}

    page.locator("#search").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("nothing has this name")
    assert page.locator("#table tbody tr").count() == 0
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    rows = page.locator("#table tbody tr").count()
    assert rows > 2

    page.locator("#evidence").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#evidence").input_value() == "scored"
    assert 0 < page.locator("#table tbody tr").count() < rows

    page.locator(".chooser summary").focus()
    page.keyboard.press("Enter")
    page.locator("[name=column][value=family]").focus()
    page.keyboard.press("Space")
    assert page.locator("th[data-column=family]").is_hidden()

    box = page.locator("[name=pick]").first
    box.focus()
    before = box.is_checked()
    page.keyboard.press("Space")
    assert box.is_checked() is not before
    page.wait_for_selector("#chart[data-drawn]")

    page.locator("#csv").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.path().read_text(encoding="utf-8").startswith("rank,slug,name,")


def test_pages_stand_without_javascript(browser: Browser, built_site: Path) -> None:
    """Texts, tables and charts are there; controls that would do nothing are not."""
    with watched(browser, built_site, java_script_enabled=False) as visit:
        for path in page_types(built_site):
            visit.open(path)
            assert visit.page.locator("h1").is_visible(), path
            assert not [each for each in visit.page.locator(".needs-js").all() if each.is_visible()], path
        entry = max((built_site / "entries").glob("*.html"), key=lambda page: page.stat().st_size).name
        for path in ("index.html", TABLE, "scaling.html", f"entries/{entry}"):
            visit.open(path)
            assert visit.page.locator("figure svg").first.is_visible(), path
            assert visit.page.locator("table tbody tr").first.is_visible(), path
        assert visit.wrong == []
