"""The leaderboard: a page for the overall table and one per task, each with the first chart above its table.

The page comes with its default view drawn: the official adversary at the page's default tier. All other views lie in
the page as data, from which its script writes the same cells.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from ...benchmark import OFFICIAL_ATTACKS, TIERS, format_gpu_time
from ...submissions.claims import RANKED
from ...submissions.entry import Entry
from ...tasks import OFFICIAL_TASKS
from ..curve_points import curve_points
from ..figures import area_text, median_text, passes
from ..health import explained_flag
from ..render import label, script_data
from ..share import Share
from ..site import Files, Site
from ..standing import Standing
from ..survival_chart import declaration, drawn_curves, rows_of
from ..text import plain
from ..views import ADVERSARY, OVERALL, RELATIVE_TIERS, View, quoted

_PICKED = 5
"""Entries in colour in the first chart until a reader chooses others."""
_MOST_DRAWN = 120
_BOUND, _PREVIEW = 1, 2

COLUMNS = (
    # key, heading, numeric, shown at first
    ("rank", "Rank", True, True),
    ("name", "Entry", False, True),
    ("family", "Family", False, True),
    ("size", "Parameters", True, True),
    ("defence", "Defence", False, True),
    ("clean", "Clean accuracy", True, True),
    ("robust", "Robust accuracy", True, True),
    ("median", "Median break cost", True, True),
    ("area", "AUC", True, True),
    ("examples", "Examples", True, False),
    ("evidence", "Evidence", False, True),
    ("flags", "Flags", False, True),
    ("date", "Submitted", False, True),
)


@dataclass(frozen=True)
class TableRow:
    """One entry in the default view."""

    slug: str
    entry: Entry
    standing: Standing
    share: Share
    rank: int | None
    tied: bool
    preview: bool
    size: int


def table_path(task: str) -> str:
    return "index.html" if task == OVERALL else f"leaderboard/{task}.html"


def pages(site: Site) -> Files:
    """The page of every task that has results, the overall one first, and the data of their curves."""
    files: Files = {}
    tasks = tuple(dict.fromkeys((OVERALL, *(task for task, _ in site.views))))
    for task in tasks:
        views = [view for (of, _), view in site.views.items() if of == task]
        files |= site.once(("table", task, tasks), views, partial(_page, site, task, tasks, views))
    return files


def _page(site: Site, task: str, tasks: Sequence[str], views: Sequence[View]) -> Files:
    view = next((view for view in views if view.attack == ADVERSARY), views[0] if views else View(task, ADVERSARY, {}))
    tier = view.tier
    rows = ordered(site, view, tier)
    picked = _picked(rows)
    path = table_path(task)
    names = {slug: plain(site.entries[slug].manifest.name, 80) for slug in _slugs(views)}
    curves = {row.slug: curve_points(row.standing) for row in _drawn(rows, picked)}
    files = site.page(
        path,
        "leaderboard.html",
        section="Leaderboard",
        task=task,
        tasks=tasks,
        official_tasks=OFFICIAL_TASKS,
        official_attacks=[label(attack) for attack in OFFICIAL_ATTACKS],
        table_path=table_path,
        views=views,
        view=view,
        tier=tier,
        rows=rows,
        columns=COLUMNS,
        chart=drawn_curves(rows_of(curves), picked) if rows else "",
        picked=[(slug, names[slug]) for slug in picked],
        families=sorted({row.entry.manifest.family for row in rows}),
        defences=sorted({row.entry.manifest.defence.kind for row in rows}),
        ranked=RANKED,
        median_text=median_text,
        area_text=area_text,
        explained_flag=explained_flag,
        data=script_data(json.dumps(_data(site, task, views, tier, picked), separators=(",", ":"))),
        specification={
            "absolute": script_data(declaration(picked)),
            "relative": script_data(declaration(picked, relative=True)),
        },
    )
    files[f"data/curves/{task}.js"] = _curves(views)
    return files


def ordered(site: Site, view: View, tier: float) -> list[TableRow]:
    """The rows of a view in the order of the table: by rank, then by robust accuracy; what is not ranked comes last."""
    ranks = view.ranks.get((tier, False), {})
    shared = Counter(ranks.values())
    found = []
    for slug, standing in view.standings.items():
        rank = ranks.get(slug)
        found.append(
            TableRow(
                slug=slug,
                entry=site.entries[slug],
                standing=standing,
                share=standing.at(tier),
                rank=rank,
                tied=rank is not None and shared[rank] > 1,
                preview=standing.examples < RANKED,
                size=size_of(site.entries[slug], view.task),
            )
        )
    return sorted(found, key=lambda row: (row.rank or math.inf, -row.share.value, row.slug))


def size_of(entry: Entry, task: str) -> int:
    """Parameters on a task; the largest over all of them for the overall table."""
    tasks = entry.manifest.tasks
    return tasks[task].parameters if task in tasks else max(each.parameters for each in tasks.values())


def _drawn(rows: Sequence[TableRow], picked: Sequence[str]) -> list[TableRow]:
    """The entries in the chart that the page comes with: all, or of very many those in colour and an even choice."""
    step = 1 + len(rows) // _MOST_DRAWN
    return [row for number, row in enumerate(rows) if number % step == 0 or row.slug in picked]


def _picked(rows: Sequence[TableRow]) -> list[str]:
    """The entries in colour at first: those whose scores can be checked, then the best of the rest."""
    checkable = [row.slug for row in rows if row.standing.level != "reported"]
    return [*checkable, *(row.slug for row in rows if row.slug not in checkable)][:_PICKED]


def _slugs(views: Sequence[View]) -> list[str]:
    return list(dict.fromkeys(slug for view in views for slug in view.standings))


def _data(site: Site, task: str, views: Sequence[View], tier: float, picked: Sequence[str]) -> dict[str, Any]:
    """What the page's script works on. Shares are in tenths of a percent."""
    slugs = _slugs(views)
    return {
        "task": task,
        "tier": TIERS.index(tier),
        "picked": list(picked),
        "columns": [[key, heading] for key, heading, _, _ in COLUMNS],
        "tiers": {
            "absolute": [[cost, format_gpu_time(cost)] for cost in TIERS],
            "relative": [[cost, passes(cost)] for cost in RELATIVE_TIERS],
        },
        "entries": [_entry_data(site.entries[slug], slug, task) for slug in slugs],
        "attacks": [[view.attack, label(view.attack)] for view in views],
        "cells": [[_cell(view, slug) for slug in slugs] for view in views],
    }


def _entry_data(entry: Entry, slug: str, task: str) -> dict[str, Any]:
    manifest = entry.manifest
    return {
        "slug": slug,
        "name": plain(manifest.name, 120),
        "family": plain(manifest.family, 120),
        "size": size_of(entry, task),
        "defence": manifest.defence.kind,
        "date": manifest.submitted.isoformat(),
    }


def _cell(view: View, slug: str) -> Any:
    """How an entry stands in a view: clean, absolute, relative, median texts and cost, AUC, examples, evidence, flags.

    Null where it has none.
    """
    standing = view.standings.get(slug)
    if standing is None:
        return None
    median = standing.median
    unit = standing.unit if median is not None else None
    return [
        standing.clean.tenths,
        _tiers_data(view, slug, standing, relative=False),
        None if standing.unit is None else _tiers_data(view, slug, standing, relative=True),
        [median_text(median), median_text(median, unit) if unit is not None else ""],
        _median_order(standing),
        None if standing.area is None else area_text(standing.area),
        standing.examples,
        standing.level,
        [[plain(flag, 80), explained_flag(flag)] for flag in standing.flags],
    ]


def _tiers_data(view: View, slug: str, standing: Standing, *, relative: bool) -> list[list[int | None]]:
    preview = _PREVIEW if standing.examples < RANKED else 0
    tiers = RELATIVE_TIERS if relative else TIERS
    return [
        [*share.tenths, preview | (_BOUND if share.bound else 0), view.ranks[cost, relative].get(slug)]
        for cost, share in zip(tiers, quoted(standing, relative=relative), strict=True)
    ]


def _median_order(standing: Standing) -> float | None:
    """What a median is sorted by; one beyond the budget comes after all others."""
    median = standing.median
    if median is None or math.isnan(median.cost):
        return None
    return median.reached * 1e6 if math.isinf(median.cost) else median.cost


def _curves(views: Sequence[View]) -> bytes:
    """The curves of all views, as a script: a page opened from a file may load scripts, but no data."""
    drawn = (_object({slug: _curve(each) for slug, each in view.standings.items()}) for view in views)
    data = _object(dict(zip((view.attack for view in views), drawn, strict=True)))
    return f"holdfastCurves({data});\n".encode()


def _object(members: Mapping[str, str]) -> str:
    """A JSON object. members: names, and values that are JSON already."""
    return f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in members.items())}}}"


@lru_cache(maxsize=50_000)
def _curve(standing: Standing) -> str:
    """The points of a standing by axis, as JSON."""
    points = {"absolute": _points(standing, relative=False), "relative": []}
    if standing.unit is not None:
        points["relative"] = _points(standing, relative=True)
    return json.dumps(points, separators=(",", ":"))


def _points(standing: Standing, *, relative: bool) -> list[list[float]]:
    """Cost, value, low and high in tenths of a percent, and 1 for a bound."""
    return [[point.cost, *point.share.tenths, int(point.bound)] for point in curve_points(standing, relative=relative)]
