"""The data behind the site, for programs: JSON and CSV files with everything that the pages show."""

import csv
import io
import json
import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from ...benchmark import TIERS
from ...submissions.schemas import schemas
from ..share import Share
from ..site import Files, Site
from ..standing import Overall, Standing
from ..views import OVERALL, RELATIVE_TIERS, View, quoted

SCHEMA_VERSION = 1


def pages(site: Site) -> Files:
    """The index, an overview of the entries, the tables, and the schemas of all files."""
    tasks = list(dict.fromkeys(task for task, _ in site.views))
    files: Files = {f"api/schema/{name}": text.encode() for name, text in schemas().items()}
    for task in tasks:
        views = [view for view in site.views.values() if view.task == task]
        files |= site.once(("api", task), views, partial(_table, site, task, views))
    if OVERALL not in tasks:
        files[f"api/leaderboard/{OVERALL}.json"] = _json(
            {"schema_version": SCHEMA_VERSION, "task": OVERALL, "rows": []}
        )
        files[f"api/leaderboard/{OVERALL}.csv"] = b""
    files["api/entries.json"] = _json(
        {"schema_version": SCHEMA_VERSION, "entries": [_overview(site, slug) for slug in site.entries]}
    )
    files["api/index.json"] = _json(
        {
            "schema_version": SCHEMA_VERSION,
            "about": "Robust accuracy of language-model classifiers at fixed attack budgets. Costs are in FLOP per "
            "example; shares have 95 % intervals; a bound is an upper bound.",
            "gpu_second": 4e14,
            "entries": "api/entries.json",
            "leaderboards": {task: f"api/leaderboard/{task}.json" for task in tasks or [OVERALL]},
            "scaling": {name: f"api/scaling/{name}.json" for name in ("size", "offence-defence", "attack-success")},
            "schemas": {name: f"api/schema/{name}" for name in schemas()},
        }
    )
    return files


def _table(site: Site, task: str, views: Sequence[View]) -> Files:
    rows = [row for view in views for row in table_rows(site, view)]
    return {
        f"api/leaderboard/{task}.json": _json({"schema_version": SCHEMA_VERSION, "task": task, "rows": rows}),
        f"api/leaderboard/{task}.csv": _csv(rows),
    }


def entry_files(site: Site, slug: str) -> Files:
    """One entry: its manifest and every figure that its page shows."""
    entry = site.entries[slug]
    return {
        f"api/entries/{slug}.json": _json(
            {
                "schema_version": SCHEMA_VERSION,
                "manifest": entry.manifest.model_dump(mode="json", exclude_none=True),
                "figures": [
                    {"task": task, "attack": attack, **figures_of(standing)}
                    for (task, attack), standing in sorted(site.standings[slug].items())
                ],
                "evidence": [
                    {"task": key.task, "attack": f"{key.attack}-{key.position}", **record.model_dump(mode="json")}
                    for key, record in sorted(entry.evidence.items())
                ],
            }
        )
    }


def _overview(site: Site, slug: str) -> dict[str, Any]:
    manifest = site.entries[slug].manifest
    return {
        "slug": slug,
        "name": manifest.name,
        "family": manifest.family,
        "defence": manifest.defence.kind,
        "submitted": manifest.submitted.isoformat(),
        "tasks": list(manifest.tasks),
        "evidence": site.entries[slug].level,
        "page": f"entries/{slug}.html",
        "data": f"api/entries/{slug}.json",
    }


def figures_of(standing: Standing) -> dict[str, Any]:
    """The figures of an entry against one attack, named as `holdfast show --json` names them."""
    median = standing.median
    return {
        "examples": standing.examples,
        "evidence": standing.level,
        "reach": standing.reach if math.isfinite(standing.reach) else None,
        "forward_pass": None if isinstance(standing, Overall) else standing.unit,
        "clean_accuracy": _share(standing.clean),
        "robust_accuracy": [
            {"cost": cost, **_share(share)} for cost, share in zip(TIERS, quoted(standing), strict=True)
        ],
        "robust_accuracy_relative": []
        if standing.unit is None
        else [
            {"forward_passes": cost, **_share(share)}
            for cost, share in zip(RELATIVE_TIERS, quoted(standing, relative=True), strict=True)
        ],
        "median_break_cost": None if median is None or not math.isfinite(median.cost) else median.cost,
        "median_is_bound": median is not None and median.bound,
        "area_under_curve": standing.area,
        "flags": list(standing.flags),
    }


def table_rows(site: Site, view: View) -> list[dict[str, Any]]:
    """A table as flat rows, one per entry, axis and budget, in order of slug."""
    found = []
    for slug, standing in sorted(view.standings.items()):
        manifest = site.entries[slug].manifest
        for axis, tiers in (("absolute", TIERS), ("relative", RELATIVE_TIERS)):
            if axis == "relative" and standing.unit is None:
                continue
            for cost, share in zip(tiers, quoted(standing, relative=axis == "relative"), strict=True):
                found.append(
                    {
                        "slug": slug,
                        "name": manifest.name,
                        "family": manifest.family,
                        "defence": manifest.defence.kind,
                        "task": view.task,
                        "attack": view.attack,
                        "axis": axis,
                        "cost": cost,
                        "rank": view.ranks[cost, axis == "relative"].get(slug),
                        "clean_accuracy": standing.clean.value,
                        "robust_accuracy": share.value,
                        "low": share.low,
                        "high": share.high,
                        "bound": share.bound,
                        "examples": standing.examples,
                        "evidence": standing.level,
                    }
                )
    return found


def _share(share: Share) -> dict[str, Any]:
    return {"value": share.value, "low": share.low, "high": share.high, "bound": share.bound}


def _json(content: object) -> bytes:
    return (json.dumps(content, separators=(",", ":")) + "\n").encode()


def _csv(rows: list[dict[str, Any]]) -> bytes:
    if not rows:
        return b""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0])
    writer.writerows([_field(value) if type(value) is str else value for value in row.values()] for row in rows)
    return text.getvalue().encode()


@lru_cache(maxsize=10_000)
def _field(value: str) -> str:
    """A field as no spreadsheet takes it for a formula."""
    return f"'{value}" if value[:1] in tuple("=+-@\t\r") and value else value
