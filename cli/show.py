"""`holdfast show`: results, and reported curves, as tables and a chart of robust accuracy against budget."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..tasks import RecordError
from .terminal import duration, out, size, visible

if TYPE_CHECKING:
    from ..benchmark import Result
    from ..benchmark.curves import Proportion, Survival
    from ..submissions.adversary import OfficialAdversary
    from ..submissions.reported import ReportedCurve


def show(
    paths: Annotated[
        list[Path], typer.Argument(metavar="RESULT...", help="Result files, folders that hold some, or entries.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the derived figures as JSON.")] = False,
) -> None:
    """Show results: clean and robust accuracy with 95 % intervals, and how they fall with the attacker's budget.

    Of an entry with figures from a publication, those.
    """
    curves = [curve for given in paths for curve in _read_curves(given)]
    # A folder that has curves alone is an entry without results.
    results = [result for given in paths if not _curve_files(given) for result in read_results(given)]
    groups = _by_task(results)
    if as_json:
        found = [figures(result, results) for result in results]
        found += [_adversary_figures(adversary, group) for group in groups if (adversary := _adversary(group))]
        out.print_json(json.dumps([*found, *(_curve_figures(curve) for curve in curves)]))
        return
    for group in groups:
        out.print(table_of(group))
    if curves:
        out.print(_curve_table(curves))


def read_results(path: Path) -> list["Result"]:
    """The results a path stands for: those of a file, or of a folder. Raises: RecordError."""
    from ..benchmark import read_result

    return [read_result(each) for each in _result_files(path)]


def _result_files(path: Path) -> list[Path]:
    """The result files a path stands for. Raises: RecordError when a folder has none."""
    if not path.is_dir():
        return [path]
    found = sorted((path / "results").glob("*/*.json")) or sorted(path.glob("*.json"))
    if not found:
        raise RecordError(f"There are no results in {path}; give the --out folder of `holdfast score`.")
    return found


def _curve_files(path: Path) -> list[Path]:
    return sorted((path / "curves").glob("*/*.json")) if path.is_dir() else []


def _read_curves(path: Path) -> list["ReportedCurve"]:
    from ..submissions.reported import read_curve

    return [read_curve(each) for each in _curve_files(path)]


def _adversary(results: Sequence["Result"]) -> "OfficialAdversary | None":
    """The official adversary over the results of one victim on one task, where every official attack is among them."""
    from ..benchmark import OFFICIAL_ATTACKS
    from ..submissions.adversary import official_adversary

    official = _official(results)
    return official_adversary(official) if len(official) == len(OFFICIAL_ATTACKS) else None


def _official(results: Sequence["Result"]) -> list["Result"]:
    from ..submissions.adversary import is_official

    return [result for result in results if is_official(result) and result.attack.position == "suffix"]


def _by_task(results: Sequence["Result"]) -> list[list["Result"]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.task.name, result.victim.digest), []).append(result)
    return list(groups.values())


_NAMES, _COLUMN = 25, 18
"""Characters of the first column, and the fewest of each attack's."""


def table_of(results: Sequence["Result"]) -> RenderableType:
    """Results of one victim on one task, an attack a column, with the chart below."""
    from ..benchmark.curves import clean_accuracy
    from .chart import chart

    first = results[0]
    victim = first.victim
    # A result may be somebody else's, so its names are shown as hostile text.
    heading = Text.assemble(
        (visible(first.task.name), "bold"),
        visible("  " + victim.reference) + (visible(f"@{victim.revision[:12]}") if victim.revision else ""),
        ("\n" + visible(f"{victim.architecture}, {victim.parameters:,} parameters, {victim.dtype}"), "dim"),
        (f"; clean accuracy {clean_accuracy(first)} on {first.summary.examples} examples", ""),
    )
    adversary = _adversary(results)
    columns: list[OfficialAdversary | Result] = [*([adversary] if adversary else []), *results]
    tiers = sorted({tier for column in columns for tier in shown_costs(column)})
    # As many tables as it takes, and as wide as each other.
    most = max(2, (out.width - _NAMES) // _COLUMN)
    width = math.ceil(len(columns) / math.ceil(len(columns) / most))
    tables = [_table(columns[start : start + width], tiers, results) for start in range(0, len(columns), width)]
    curves = chart([(visible(_attack_name(result)), result) for result in results])
    return Group(heading, *(part for table in tables for part in (Text(), table)), Text(), curves, Text())


def _table(
    columns: "Sequence[OfficialAdversary | Result]", tiers: Sequence[float], results: "Sequence[Result]"
) -> Table:
    """As many attacks as fit beside each other. results: all there are."""
    from ..benchmark import Result, format_gpu_time
    from ..submissions.adversary import OFFICIAL_ADVERSARY
    from ..submissions.flags import flags_of

    table = Table(box=None, pad_edge=False)
    table.add_column("", style="bold", no_wrap=True, min_width=_NAMES - 2)
    for column in columns:
        name = visible(_attack_name(column)) if isinstance(column, Result) else OFFICIAL_ADVERSARY
        table.add_column(Text(name), min_width=_COLUMN - 4)
    for tier in tiers:
        table.add_row(f"robust at {format_gpu_time(tier)}", *(accuracy_at(column, tier) for column in columns))
    for label, derived in (
        ("broken of clean-correct", success_of),
        ("median break cost", median_of),
        ("area under curve", area_of),
    ):
        table.add_row(label, *(derived(column) for column in columns))
    for label, cell in (
        ("charged / executed", lambda result: f"{result.run.canonical_flop:.2e} / {result.run.executed_flop:.2e} FLOP"),
        ("wall time", lambda result: duration(result.run.seconds.total)),
        ("model / tokens / rest", time_shares),
        ("peak memory", lambda result: size(result.run.peak_memory)),
    ):
        cells = (visible(cell(column)) if isinstance(column, Result) else "" for column in columns)
        table.add_row(label, *map(Text, cells))
    flagged = ([column] if isinstance(column, Result) else _official(results) for column in columns)
    names = (visible(", ".join(flags_of(each, results)) or "none") for each in flagged)
    table.add_row("flags", *(Text(name, overflow="fold") for name in names))
    return table


def _attack_name(result: "Result") -> str:
    """An attack's name with the length of its strings and its position, where those are not the official ones."""
    from ..submissions.entry import key_of

    _, name, position = key_of(result)
    return name if position == "suffix" else f"{name} {position}"


def _curve_table(curves: Sequence["ReportedCurve"]) -> RenderableType:
    """Figures from a publication, a task and attack a row."""
    from ..benchmark import TIERS, format_gpu_time
    from ..submissions.published import published_accuracy, published_clean_accuracy

    table = Table(box=None, pad_edge=False, title="figures from a publication", title_justify="left")
    for heading in ("task", "attack", "clean accuracy", *(f"robust at {format_gpu_time(tier)}" for tier in TIERS)):
        table.add_column(heading, overflow="fold")
    for curve in curves:
        names = (Text(visible(curve.task)), Text(visible(f"{curve.attack} {curve.position}")))
        table.add_row(
            *names, str(published_clean_accuracy(curve)), *(str(published_accuracy(curve, tier)) for tier in TIERS)
        )
    return table


def shown_costs(result: "Survival") -> list[float]:
    """The tiers within the budget, and the budget itself."""
    from ..benchmark import TIERS

    return [tier for tier in TIERS if tier < result.budget * (1 - 1e-9)] + [result.budget]


def accuracy_at(result: "Survival", cost: float) -> str:
    from ..benchmark.curves import robust_accuracy

    return str(robust_accuracy(result, cost))


def success_of(result: "Survival") -> str:
    from ..benchmark.curves import attack_success_rate

    return f"{attack_success_rate(result) or 'none was correct'}"


def median_of(result: "Survival") -> str:
    """The median break cost, in GPU time and in forward passes of this victim."""
    from ..benchmark import format_gpu_time
    from ..benchmark.curves import forward_passes, median_break_cost

    cost = median_break_cost(result)
    if math.isnan(cost):
        return "none was correct"
    if math.isinf(cost):
        return f"> {format_gpu_time(result.budget)}"
    return f"{format_gpu_time(cost)} ({forward_passes(result, cost):,.0f} forward passes)"


def area_of(result: "Survival") -> str:
    from ..benchmark.curves import area_under_curve

    area = area_under_curve(result)
    return "needs a budget of 1 s" if area is None else f"{area:.3f}"


def time_shares(result: "Result") -> str:
    """Where the wall time went."""
    seconds = result.run.seconds
    if not seconds.total:
        return ""
    parts = (seconds.model, seconds.tokenization, seconds.rest)
    return " / ".join(f"{part / seconds.total:.0%}" for part in parts)


def figures(result: "Result", beside: Sequence["Result"] = ()) -> dict[str, object]:
    """The derived figures of a result, for JSON. beside: the results that are shown with it."""
    from ..submissions.flags import flags_of

    return {
        "task": result.task.name,
        "attack": result.attack.name,
        "position": result.attack.position,
        "victim": result.victim.reference,
        **_figures(result),
        "flags": flags_of([result], beside),
    }


def _adversary_figures(adversary: "OfficialAdversary", results: Sequence["Result"]) -> dict[str, object]:
    from ..submissions.adversary import OFFICIAL_ADVERSARY
    from ..submissions.flags import flags_of

    return {
        "task": adversary.task.name,
        "attack": OFFICIAL_ADVERSARY,
        "position": adversary.position,
        "victim": adversary.victim.reference,
        **_figures(adversary),
        "flags": flags_of(_official(results), results),
    }


def _figures(survival: "Survival") -> dict[str, object]:
    from ..benchmark.curves import (
        area_under_curve,
        attack_success_rate,
        clean_accuracy,
        median_break_cost,
        robust_accuracy,
    )

    median = median_break_cost(survival)
    return {
        "examples": len(survival.records),
        "budget": survival.budget,
        "clean_accuracy": _share(clean_accuracy(survival)),
        "attack_success_rate": _share(attack_success_rate(survival)),
        "robust_accuracy": [
            {"cost": cost, **(_share(robust_accuracy(survival, cost)) or {})} for cost in shown_costs(survival)
        ],
        "median_break_cost": median if math.isfinite(median) else None,
        "area_under_curve": area_under_curve(survival),
    }


def _curve_figures(curve: "ReportedCurve") -> dict[str, object]:
    from ..benchmark import TIERS
    from ..submissions.published import (
        published_accuracy,
        published_area,
        published_clean_accuracy,
        published_median,
    )

    median, bound = published_median(curve)
    return {
        "task": curve.task,
        "attack": curve.attack,
        "position": curve.position,
        "examples": curve.examples,
        "budget": curve.points[-1].cost,
        "clean_accuracy": _share(published_clean_accuracy(curve)),
        "robust_accuracy": [{"cost": tier, **(_share(published_accuracy(curve, tier)) or {})} for tier in TIERS],
        "median_break_cost": median if math.isfinite(median) else None,
        "median_is_bound": bound,
        "area_under_curve": published_area(curve),
        "flags": [],
    }


def _share(proportion: "Proportion | None") -> dict[str, object] | None:
    if proportion is None:
        return None
    low, high = proportion.interval
    return {"value": proportion.value, "low": low, "high": high, "bound": proportion.bound}
