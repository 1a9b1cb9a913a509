"""`holdfast demo`: both bundled checkpoints scored on the spot and printed side by side."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ..tasks import get_task
from .terminal import duration, out, visible

if TYPE_CHECKING:
    from ..benchmark import Result

TASK = "password-match"
ATTACKS = ("gcg",)
"""The stronger official attack; random tokens break fewer examples and take longer to do so."""
CHECKPOINTS = {"undefended": "password-match-undefended", "adversarially trained": "password-match-adversarial"}


def demo() -> None:
    """Score the two bundled password-match checkpoints (profile quick) and compare them."""
    from ..benchmark import (
        PROFILES,
        Settings,
        format_gpu_time,
        get_attack,
        load_victim,
        score,
    )
    from ..submissions.checkpoints import checkpoint_folder
    from .chart import chart
    from .progress import shown
    from .show import accuracy_at, median_of, shown_costs, success_of

    started = time.perf_counter()
    settings = Settings.of(PROFILES["quick"])
    task = get_task(TASK)
    evaluation = task.evaluation()
    budget = format_gpu_time(settings.budget)
    out.print(f"[bold]{task.title}[/bold]: {task.description}")
    out.print(
        f"Two small classifiers answer. An attacker may add up to 10 tokens to the prompt and spend {budget} of GPU "
        f"time per "
        f"example; {settings.examples} examples, by greedy coordinate gradient. How often do the classifiers hold?\n",
        soft_wrap=True,
    )
    results: dict[str, dict[str, Result]] = {}
    strings: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        for name, checkpoint in CHECKPOINTS.items():
            victim = load_victim(checkpoint_folder(checkpoint))
            results[name] = {}
            for attack in map(get_attack, ATTACKS):
                with shown(f"{name} × {attack.name}") as display:
                    target = Path(folder) / checkpoint
                    results[name][attack.name] = score(
                        victim, evaluation, attack, settings, target, on_progress=display
                    )
            strings.append((name, _example_string(Path(folder) / checkpoint)))

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in CHECKPOINTS:
        table.add_column(name, no_wrap=True)
    first = {name: next(iter(of_attack.values())) for name, of_attack in results.items()}
    table.add_row("parameters", *(f"{result.victim.parameters:,}" for result in first.values()))
    table.add_row("clean accuracy", *(accuracy_at(result, 0.0) for result in first.values()))
    for attack in ATTACKS:
        of_attack = [results[name][attack] for name in CHECKPOINTS]
        table.add_row()
        table.add_row(Text(attack, style="bold"))
        for cost in shown_costs(of_attack[0]):
            table.add_row(f"  robust at {format_gpu_time(cost)}", *(accuracy_at(result, cost) for result in of_attack))
        table.add_row("  broken", *map(success_of, of_attack))
        table.add_row("  half broken at", *(median_of(result).partition(" (")[0] for result in of_attack))
    out.print(table)
    out.print("[dim]shares of examples with 95 % Wilson intervals[/dim]\n")
    out.print(chart([(f"{attack}, {name}", results[name][attack]) for attack in ATTACKS for name in CHECKPOINTS]))
    out.print()
    for name, string in strings:
        if string:
            out.print(Text.assemble(f"A string that broke the {name} one: ", (string, "reverse")), soft_wrap=True)
    out.print(f"Done in {duration(time.perf_counter() - started)}. Score your own: holdfast score MODEL --task {TASK}")


def _example_string(folder: Path) -> str:
    """The first winning string of the strongest attack, made visible; empty when nothing broke."""
    import pyarrow.parquet as parquet

    for path in sorted(folder.glob("traces/*/gcg-*.parquet")):
        for row in parquet.read_table(path).to_pylist():
            if row["broken"]:
                return visible(row["attack_string"])
    return ""
