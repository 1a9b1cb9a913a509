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
ATTACK = "gcg"
"""One attack is enough to see what a defence does; most of the other official ones take longer."""
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
    from ..benchmark.settings import Files
    from ..benchmark.victim import one_thread_on_cpu
    from ..submissions.checkpoints import checkpoint_folder
    from .chart import chart
    from .progress import shown
    from .show import accuracy_at, median_of, shown_costs, success_of

    started = time.perf_counter()
    settings = Settings.of(PROFILES["quick"])
    task = get_task(TASK)
    attack = get_attack(ATTACK)
    evaluation = task.evaluation()
    budget = format_gpu_time(settings.budget)
    out.print(f"[bold]{task.title}[/bold]: {task.description}")
    out.print(
        f"Two small classifiers answer. An attacker may add up to 10 tokens to the prompt and spend {budget} of GPU "
        f"time per example; {settings.examples} examples, by greedy coordinate gradient. How often do the "
        f"classifiers hold?\n",
        soft_wrap=True,
    )
    results: dict[str, Result] = {}
    strings: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        for name, checkpoint in CHECKPOINTS.items():
            victim = load_victim(checkpoint_folder(checkpoint))
            target = Path(folder) / checkpoint
            # For so small a model several threads win little, and beside other work they are many times slower.
            with shown(f"{name} × {attack.name}") as display, one_thread_on_cpu(victim.device):
                results[name] = score(victim, evaluation, attack, settings, target, on_progress=display)
            strings[name] = _winning_string(Files.of(target, task.name, attack.name).trace)

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in CHECKPOINTS:
        table.add_column(name, no_wrap=True)
    both = list(results.values())
    table.add_row("parameters", *(f"{result.victim.parameters:,}" for result in both))
    table.add_row("clean accuracy", *(accuracy_at(result, 0.0) for result in both))
    table.add_row()
    table.add_row(Text(attack.name, style="bold"))
    for cost in shown_costs(both[0]):
        table.add_row(f"  robust at {format_gpu_time(cost)}", *(accuracy_at(result, cost) for result in both))
    table.add_row("  broken", *map(success_of, both))
    table.add_row("  half broken at", *(median_of(result).partition(" (")[0] for result in both))
    out.print(table)
    out.print("[dim]shares of examples with 95 % Wilson intervals[/dim]\n")
    out.print(chart([(f"{attack.name}, {name}", result) for name, result in results.items()]))
    out.print()
    for name, string in strings.items():
        if string:
            out.print(Text.assemble(f"A string that broke the {name} one: ", (string, "reverse")), soft_wrap=True)
    out.print(f"Done in {duration(time.perf_counter() - started)}. Score your own: holdfast score MODEL --task {TASK}")


def _winning_string(trace: Path) -> str:
    """The first string of a trace that broke its example, made visible; empty when nothing broke."""
    import pyarrow.parquet as parquet

    for row in parquet.read_table(trace).to_pylist():
        if row["broken"]:
            return visible(row["attack_string"])
    return ""
