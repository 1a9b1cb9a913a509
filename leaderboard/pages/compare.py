"""Comparing two entries: a page for any pair, drawn in the browser from published records, and a page for every pair of
neighbours in rank, drawn here.

What a row says and how it is tested is `submissions.compare`; the page's script says the same in the same words.
"""

import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from ...benchmark import TIERS, format_gpu_time
from ...submissions.compare import CLEAN, Row, compare_results
from ..curve_points import curve_points
from ..neighbours import Pair, neighbours, shared_tasks
from ..records import attack_words, record_files
from ..render import script_data
from ..site import Files, Site
from ..standing import Bounded, Standing
from ..survival_chart import declaration, drawn_curves, rows_of
from ..text import plain
from ..views import ADVERSARY

_SIDES = ("base", "candidate")
_WIDTH, _HEIGHT = 720, 300


@dataclass(frozen=True)
class TaskComparison:
    """One task of a comparison. rows: those with figures, by attack. notes: what is missing or not comparable.

    charted: the attack in the chart.
    """

    task: str
    examples: int
    rows: Sequence[tuple[str, Sequence[Row]]]
    notes: Sequence[str]
    charted: str = ""
    chart: Markup | None = None


def pages(site: Site) -> Files:
    """The page for any pair, with the records that it loads; those of neighbours are `pair_files`."""
    pairs = neighbours(site)
    families: dict[str, list[str]] = {}
    for slug, entry in sorted(site.entries.items()):
        families.setdefault(plain(entry.manifest.family, 120), []).append(slug)
    tasks = {key.task for entry in site.entries.values() for key in (*entry.results, *entry.curves)}
    page = site.page(
        "compare.html",
        "compare.html",
        section="Compare",
        families=sorted(families.items()),
        tasks=sorted(tasks),
        pairs=pairs,
        tiers=script_data(json.dumps([[int(tier), format_gpu_time(tier)] for tier in TIERS])),
        chart=script_data(declaration(_SIDES, width=_WIDTH, height=_HEIGHT)),
    )
    return page | record_files(site)


def pair_files(site: Site, pair: Pair) -> Files:
    """The page of two neighbours in rank."""
    tasks = shared_tasks(site.entries, pair)
    base, candidate = (
        [result for key, result in site.entries[slug].results.items() if key.task in tasks]
        for slug in (pair.base, pair.candidate)
    )
    comparison = compare_results(base, candidate)
    return site.page(
        pair.path,
        "comparison.html",
        section="Compare",
        pair=pair,
        summary=summary(comparison.rows),
        tasks=[_task(site, pair, task, list(rows)) for task, rows in groupby(comparison.rows, lambda row: row.task)],
        attack_words=attack_words,
        place=place,
        signed=signed,
        probability=probability,
    )


def _task(site: Site, pair: Pair, task: str, rows: Sequence[Row]) -> TaskComparison:
    shown = [row for row in rows if row.p is not None]
    ours, theirs = (_drawable(site, slug, task) for slug in (pair.base, pair.candidate))
    charted = _charted(ours, theirs)
    return TaskComparison(
        task=task,
        examples=max(row.examples for row in rows),
        rows=[(attack, list(each)) for attack, each in groupby(shown, lambda row: row.attack)],
        notes=notes(rows),
        charted=charted,
        chart=_chart(ours[charted], theirs[charted]) if charted else None,
    )


def _charted(ours: Iterable[str], theirs: Container[str]) -> str:
    """The attack in a task's chart: the official adversary where both have it, else the first that both have."""
    return next((attack for attack in sorted(ours, key=lambda key: (key != ADVERSARY, key)) if attack in theirs), "")


def _drawable(site: Site, slug: str, task: str) -> dict[str, Standing]:
    standings = site.standings.get(slug, {}).items()
    return {attack: each for (of, attack), each in standings if of == task and not isinstance(each, Bounded)}


def summary(rows: Sequence[Row]) -> str:
    """What the tests found, in a sentence or two."""
    tested = [row for row in rows if row.adjusted is not None]
    better, worse = (sum(row.verdict == verdict for row in tested) for verdict in ("improved", "regressed"))
    lacking = len(rows) - len(tested)
    found = (
        f"In {len(tested)} tests, the candidate is better in {better} and worse in {worse} by more than chance allows."
        if tested
        else "Nothing could be tested."
    )
    return f"{found} {lacking} more could not be made: see the notes." if lacking else found


def notes(rows: Sequence[Row]) -> list[str]:
    """Each reason for what is missing or not comparable, with the places that have no figures because of it."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.reason:
            places = found.setdefault((row.verdict, row.reason), [])
            if row.p is None:
                places.append(attack_words(row.attack) + ("" if row.tier is None else f" at {place(row)}"))
    return [
        f"{verdict.capitalize()}: {reason}" + (f" ({', '.join(places)})." if places else ".")
        for (verdict, reason), places in found.items()
    ]


def place(row: Row) -> str:
    """Where on the curve a row is."""
    if row.attack == CLEAN:
        return "no attack"
    return "whole curve" if row.tier is None else format_gpu_time(row.tier)


def signed(number: float) -> str:
    return f"{number + 0.0:+.1f}".replace("-", "−")


def probability(p: float | None) -> str:
    """Empty where there is none; rounded first, so that the last bit of a tie does not show."""
    if p is None:
        return ""
    return "<.001" if p < 0.001 else f"{float(f'{p:.10g}'):.3f}"


def _chart(base: Standing, candidate: Standing) -> Markup:
    """Both curves as SVG."""
    rows = rows_of({side: curve_points(each) for side, each in zip(_SIDES, (base, candidate), strict=True)})
    return drawn_curves(rows, _SIDES, width=_WIDTH, height=_HEIGHT)
