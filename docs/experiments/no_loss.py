"""Whether an attack is as strong with all that makes the engine fast as without: paired, at equal canonical cost.

    python docs/experiments/no_loss.py [--mirror DIR]     runs what no_loss.json lacks, and adds it there as it is done
    python docs/experiments/no_loss.py --table            writes the results in no_loss.json into docs/performance.md

The same examples of every bundled checkpoint are attacked in three ways: plainly, which is one example at a time, the
full text of every candidate, each time it is proposed, all of it in float32; as `holdfast score` does it; and with the
rough look in bfloat16, which `score` would not use on victims this narrow. Kept are the break costs of the examples
that are right when clean.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from long_runs import LongRun
from scipy.stats import binomtest

from holdfast.benchmark import Engine, Victim, format_gpu_time, get_attack, load_victim
from holdfast.benchmark.executor import training_texts
from holdfast.benchmark.passes import FullText
from holdfast.benchmark.proposal import proposal_for
from holdfast.benchmark.screening import scorer_for
from holdfast.submissions.checkpoints import checkpoint_folder, checkpoint_names
from holdfast.tasks import OFFICIAL_TASKS, get_task

OUTPUT = Path(__file__).with_suffix(".json")
EXAMPLES = 20
TIERS = (4e9, 4e10)
ATTACKS = ("random_token", "gcg", "gcg_plus", "beast")
Runs = dict[str, dict[str, dict[str, list[float | None]]]]
"""By way, attack and checkpoint: per clean-correct example the break cost in FLOP, None where it held."""


class Plain(Engine):
    """One example at a time, the full text of each candidate whenever it is proposed, in float32."""

    def __init__(self, victim: Victim, *arguments: Any, **options: Any) -> None:
        super().__init__(victim, *arguments, **options)
        self.passes = FullText(victim)
        self.scorer = scorer_for(victim, self.passes, self.batch, look_over=False)
        self._remembers = False

    def _lanes_wanted(self) -> int:
        return 1


PLAIN = "plain"
WAYS: dict[str, tuple[type[Engine], bool]] = {
    PLAIN: (Plain, False),
    "as scored": (Engine, False),
    "looked over in bfloat16": (Engine, True),
}


def run(mirror: Path | None) -> None:
    """Run every attack on every checkpoint in every way that the file lacks."""
    runs = stored()
    for checkpoint in checkpoint_names():
        victim = load_victim(checkpoint_folder(checkpoint), device="cpu")
        if victim.causal:
            continue
        task = task_of(checkpoint)
        examples = get_task(task).evaluation(mirror=mirror).examples[:EXAMPLES]
        for name in ATTACKS:
            attack = get_attack(name)
            for way, (engine, look_over) in WAYS.items():
                kept = runs.setdefault(way, {}).setdefault(name, {})
                if checkpoint in kept:
                    continue
                proposal = proposal_for(attack, victim, lambda task=task: training_texts(task, mirror), None)
                attacked = engine(
                    victim, attack, budget=max(TIERS), task=task, proposal=proposal, look_over=look_over
                ).run(examples)
                records = sorted(
                    (record for record in attacked if record.clean_correct), key=lambda each: each.example_id
                )
                kept[checkpoint] = [record.break_cost for record in records]
                OUTPUT.write_text(json.dumps(runs, separators=(",", ":")).replace("],", "],\n") + "\n")
                print(checkpoint, name, way, flush=True)


def task_of(checkpoint: str) -> str:
    """The official task that a bundled checkpoint is for: the longest whose name its own begins with."""
    return max((task for task in OFFICIAL_TASKS if checkpoint.startswith(task)), key=len)


def stored() -> Runs:
    return json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}


def table(runs: Runs) -> Iterator[str]:
    """Markdown: per attack and way, how many examples were broken at each cost, against the plain way."""
    yield (
        "| attack | way | examples | same break cost | "
        + " | ".join(f"broken at {format_gpu_time(tier)}: plain, so; lost, won; p" for tier in TIERS)
        + " |"
    )
    yield "|---|---|---:|---:|" + "---:|" * len(TIERS)
    for name in runs.get(PLAIN, {}):
        for way in list(WAYS)[1:]:
            pairs = [
                pair
                for checkpoint, plain in runs[PLAIN][name].items()
                for pair in zip(plain, runs[way][name][checkpoint], strict=True)
            ]
            cells = [compared([(within(a, tier), within(b, tier)) for a, b in pairs]) for tier in TIERS]
            same = sum(a == b for a, b in pairs)
            yield f"| `{name}` | {way} | {len(pairs)} | {same} | " + " | ".join(cells) + " |"


def within(cost: float | None, tier: float) -> bool:
    return cost is not None and cost <= tier


def compared(pairs: list[tuple[bool, bool]]) -> str:
    """Broken in both ways, broken in one of them only, and the exact McNemar test's two-sided p."""
    lost, won = pairs.count((True, False)), pairs.count((False, True))
    p = float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0
    return f"{sum(a for a, _ in pairs)}, {sum(b for _, b in pairs)}; {lost}, {won}; {p:.2f}"


RUN = LongRun(
    str(__doc__).partition("\n")[0],
    run,
    lambda: table(stored()),
    Path(__file__).resolve().parents[1] / "performance.md",
    "No loss of strength",
)

if __name__ == "__main__":
    RUN.main()
