"""Whatever strangers write stays text: a site made of hostile names, links and strings, opened in a browser."""

import csv
import html
import io
import re
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_text import BAD_LINKS, ELEMENTS, HOSTILE
from made_entries import make_entry
from playwright.sync_api import Browser, Page
from pydantic import BaseModel
from watched_pages import NOT_INERT, SIDEWAYS, page_types, watched

from holdfast.benchmark.results import TRACE_SCHEMA, sha256
from holdfast.leaderboard.build import all_files, made_site
from holdfast.leaderboard.checking import check_site
from holdfast.leaderboard.pages import api, changes, compare, table
from holdfast.leaderboard.text import visible
from holdfast.submissions.entry import Entry, Key, file_of, load_entry
from holdfast.submissions.manifest import Author, Citation, Defence, Reported, WebLink
from holdfast.submissions.reported import Point, ReportedCurve, Spread
from holdfast.tasks import Example

NAMES = [text for text in HOSTILE if text.strip()]
SLUGS = ("constructor", "prototype", "to-string", "then", "length", "index", "con", "null", "0")
"""Slugs that the manifest allows, and that are something in JavaScript or to a file system."""
TASK = "password-match"
TABLE = f"leaderboard/{TASK}.html"

Model = TypeVar("Model", bound=BaseModel)


def changed(model: Model, **update: Any) -> Model:
    """A copy that no validation has seen."""
    return model.model_copy(update=update)


def name_of(number: int) -> str:
    return NAMES[number % len(NAMES)]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """Entries in which every text is hostile, with the corpus as attack strings, and figures from a publication."""
    registry = tmp_path_factory.mktemp("hostile") / "submissions"
    made = load_entry(make_entry(registry, SLUGS[0], examples=400))
    write_strings(made)
    return [*(hostile_entry(made, number, slug) for number, slug in enumerate(SLUGS)), reported_entry(made)]


@pytest.fixture(scope="module")
def many(few: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """These and an entry for every hostile name."""
    registry = tmp_path_factory.mktemp("names") / "submissions"
    made = load_entry(make_entry(registry, "made", attacks=("random_token",)))
    named = [
        changed(made.manifest, slug=f"hostile-{number}", name=name, family=name_of(number + 50))
        for number, name in enumerate(NAMES)
    ]
    return [*few, *(Entry(made.folder, manifest, made.results) for manifest in named)]


def write_strings(entry: Entry) -> None:
    """The corpus as the attack strings of its traces."""
    for key in entry.results:
        file = file_of(entry.folder, "traces", key)
        rows = pq.read_table(file).to_pylist()
        strings = iter(HOSTILE)
        for row in rows:
            if row["attack_string"] is not None:
                row["attack_string"] = next(strings, "plain")
        assert next(strings, None) is None, "every string has its row"
        pq.write_table(pa.Table.from_pylist(rows, schema=TRACE_SCHEMA), file)


def hostile_entry(made: Entry, number: int, slug: str) -> Entry:
    results = {}
    for key, result in made.results.items():
        results[key] = changed(
            result,
            attack=changed(result.attack, parameters={text: text for text in NAMES[:40]}),
            victim=changed(
                result.victim, reference=name_of(number), revision="\u202e<b>", architecture="<svg/onload=x>"
            ),
            profile="</script>",
            flags=[*result.flags, *NAMES[number::12]],
            trace_sha256=sha256(file_of(made.folder, "traces", key).read_bytes()),
            run=changed(
                result.run,
                versions={"<img src=x>": "\u202e1.0", "__proto__": "1"},
                device="<script>window.__hacked=1</script>",
                passes="{{7*7}}",
                finished='"><b>2026',
            ),
        )
    manifest = changed(
        made.manifest,
        slug=slug,
        name=name_of(number),
        family=name_of(number + 50),
        description="\n".join(NAMES[number::3]),
        licence="<b>\u202eMIT",
        authors=[
            changed(Author(name="x"), name=name, url=link)
            for name, link in zip(NAMES, (BAD_LINKS * 9)[: len(NAMES)], strict=True)
        ],
        links=[changed(WebLink(title="x", url="https://a.example"), title=link, url=link) for link in BAD_LINKS],
        defence=changed(Defence(kind="other"), description="\n".join(NAMES[number + 1 :: 3])),
    )
    return Entry(made.folder, manifest, results)


def reported_entry(made: Entry) -> Entry:
    """Figures from a publication that is hostile."""
    citation = changed(
        Citation(title="x", authors=["x"], year=2024, url="https://a.example"),
        title="\n".join(NAMES[::7]),
        authors=NAMES[::5],
        url="javascript:window.__hacked=1",
    )
    task = changed(made.manifest.tasks[TASK], checkpoint=None)
    manifest = changed(
        made.manifest,
        slug="reported",
        name="W" * 120,
        family="\u202e" * 20,
        tasks={TASK: task},
        reported=changed(Reported(citation=citation, note="x"), note="\n".join(NAMES[::2])),
    )
    spread = Spread(median=0.5, low=0.4, high=0.6)
    curve = ReportedCurve(
        task=TASK,
        attack="gcg",
        position="suffix",
        parameters=1000,
        examples=200,
        seeds=3,
        clean_accuracy=spread,
        points=[Point(iteration=number, cost=1e9 * number, attack_success_rate=spread) for number in range(1, 5)],
        note="<img src=x onerror=window.__hacked=1>\u202e",
    )
    return Entry(made.folder, manifest, {}, {Key(TASK, "gcg", "suffix"): curve})


@pytest.fixture(scope="module")
def hostile_site(few: list[Entry], many: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their site, with texts of the examples that are hostile too. Pages of single entries are there for a few."""
    texts = {
        f"{TASK}-{number}": Example(f"{TASK}-{number}", name_of(number), name_of(number + 1), number % 2)
        for number in range(400)
    }
    files = all_files(made_site(few, texts={TASK: texts}, url="https://site.example/"))
    site = made_site(many, url="https://site.example/")
    for module in (api, changes, compare, table):
        files |= module.pages(site)
    out = tmp_path_factory.mktemp("site") / "site"
    for path, content in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    return out


@pytest.mark.slow
def test_every_file_is_sound(hostile_site: Path) -> None:
    lacking = re.compile(r"the link '[^']*/hostile-\d+\.(html|json|svg)' leads to a file that is not there")
    assert [str(fault) for fault in check_site(hostile_site) if not lacking.match(fault.message)] == []


def test_tables_for_spreadsheets_hold_no_formulas(hostile_site: Path) -> None:
    files = sorted(hostile_site.rglob("*.csv"))
    assert files
    for file in files:
        for row in csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline="")):
            assert not [field for field in row if re.match(r"[=+@\t\r]|-(?![\d.])", field)]


def test_strangers_texts_stay_texts_on_every_kind_of_page(browser: Browser, hostile_site: Path) -> None:
    """Nothing runs, nothing is asked for, nothing hides, nothing breaks out of its place; on a desktop and a phone."""
    for phone in (False, True):
        with watched(browser, hostile_site, phone=phone, reduced_motion="reduce") as visit:
            for path in page_types(hostile_site):
                visit.open(path)
                visit.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
                if not phone:
                    assert visit.page.evaluate(NOT_INERT) == [], path
                assert visit.page.evaluate(SIDEWAYS) == [], f"{path}{' on a phone' if phone else ''}"
                assert visit.wrong == [], path


def test_names_are_shown_whole_with_their_hidden_characters_in_boxes(
    browser: Browser, hostile_site: Path, many: list[Entry]
) -> None:
    wanted = {each.slug: html.unescape(re.sub("<[^>]*>", "", visible(each.manifest.name, 120))) for each in many}
    with watched(browser, hostile_site) as visit:
        visit.open(TABLE)
        assert visit.page.locator("#table tbody tr").count() < len(many), "a long table shows its first rows at once"
        visit.page.locator("#more").click()
        assert visit.page.locator("#more").is_hidden()
        shown = visit.page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("#table tbody tr")].map((row) =>
              [row.dataset.slug, row.querySelector("th").textContent]))"""
        )
    # White space at the ends, and of several kinds, is the browser's to show.
    assert {slug: name.strip() for slug, name in shown.items()} == {slug: name.strip() for slug, name in wanted.items()}


def nothing(page: Page) -> None:
    """What the address says is enough."""


def operate_table(page: Page) -> None:
    """Everything that the leaderboard's script does with texts of strangers."""
    page.evaluate(
        """async () => {
          const pause = () => new Promise((resolve) => setTimeout(resolve));
          const set = async (id, value) => {
            const control = document.getElementById(id);
            control.value = value;
            control.dispatchEvent(new Event(id === "search" ? "input" : "change", { bubbles: true }));
            await pause();
          };
          for (const id of ["attack", "axis", "tier", "defence", "evidence"]) {
            for (const option of [...document.getElementById(id).options]) await set(id, option.value);
            await set(id, document.getElementById(id).options[0].value);
          }
          const families = [...document.getElementById("family").options];
          for (const option of families.filter((_, number) => number % 100 === 1)) await set("family", option.value);
          await set("family", "");
          for (const text of ["__proto__", "<script>", "("]) await set("search", text);
          await set("search", "");
          for (const button of document.querySelectorAll("th button")) button.click();
          for (const box of [...document.querySelectorAll("[name=pick]")].slice(0, 6)) box.click();
        }"""
    )
    page.wait_for_selector("#chart[data-drawn]")


def operate_comparison(page: Page) -> None:
    """Two entries by their hostile names, and again with the sides swapped."""
    page.select_option("#base", SLUGS[0])
    page.select_option("#candidate", SLUGS[1])
    page.wait_for_selector("#result table")
    page.click("#swap")
    page.wait_for_selector("#result table")


def operate_strings(page: Page) -> None:
    """Through all strings of every attack."""
    for button in page.locator("button:visible").all():
        for _ in range(20):
            if button.is_visible() and button.is_enabled():
                button.click()


def test_the_watch_sees_what_it_should(browser: Browser, tmp_path: Path) -> None:
    """A page that puts texts in as they are is found out, by every means."""
    body = "".join(f"<p><a href='{html.escape(link)}' title='\u202e'>x</a></p>" for link in BAD_LINKS[:1])
    (tmp_path / "bad.html").write_text(f"<body>{body}{ELEMENTS[0]}{ELEMENTS[6]}<p>\u200b<b class=name>{'W' * 400}")
    with watched(browser, tmp_path) as visit:
        visit.open("bad.html")
        found = " ".join(visit.page.evaluate(NOT_INERT) + visit.page.evaluate(SIDEWAYS) + visit.wrong)
    for part in ("a script of a stranger ran", "a handler", "a link", "U+202e", "U+200b", "wide", "console"):
        assert part in found, part


@pytest.mark.parametrize(
    ("path", "operate"),
    [
        (TABLE, operate_table),
        (
            f"{TABLE}?search=%3Cimg%20src=x%20onerror=window.__hacked=1%3E&sort=__proto__&tier=constructor",
            operate_table,
        ),
        ("compare.html", operate_comparison),
        ("compare.html?base=__proto__&candidate=%3Cscript%3E&task=constructor", operate_comparison),
        (f"entries/{SLUGS[0]}/strings.html", operate_strings),
    ],
)
def test_scripts_keep_strangers_texts_texts(browser: Browser, hostile_site: Path, path: str, operate: Any) -> None:
    with watched(browser, hostile_site) as visit:
        visit.open(path)
        operate(visit.page)
        assert visit.page.evaluate(NOT_INERT) == []
        assert visit.page.evaluate(SIDEWAYS) == []
        assert visit.wrong == []
