"""How much sooner an entry is scored than example by example to the end of the budget, by the same kernels.

    python docs/experiments/whole_entry.py [--checkpoint password-match-undefended] [--mirror DIR]

GCG of the profile `lite` on a bundled checkpoint, in one thread. Scored as `holdfast score` does it: all examples, in
lockstep, each until it breaks. Against it: one example at a time, with every iteration that the budget allows, as the
code of arXiv 2407.18213 attacks. That is timed on a few examples, evenly from the profile's, and taken to be the mean
of all. CPU seconds are printed, and kept in whole_entry.json beside this file.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from holdfast.benchmark import PROFILES, Engine, Victim, get_attack, load_victim
from holdfast.benchmark.engine import margins
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import Example, get_task

OUTPUT = Path(__file__).with_suffix(".json")
TIMED = 10
"""Examples that are attacked one at a time."""


class ToTheEnd(Engine):
    """Moves to better strings until the budget is spent, whether the example is broken or not."""

    def _digest(self, lane, logits, finished):
        values = margins(logits, lane.slot.example.label)
        self._charge(lane, len(values))
        self._keep_best(lane, np.concatenate(lane.strings), values, np.zeros(len(values)))
        return False


def measure(checkpoint: str, mirror: Path | None) -> dict[str, str | int | float]:
    """CPU seconds of both ways, and how many examples each of them took."""
    victim = load_victim(checkpoint_folder(checkpoint), device="cpu")
    task, profile = checkpoint.partition("-undefended")[0].partition("-adversarial")[0], PROFILES["lite"]
    examples = get_task(task).evaluation(mirror=mirror).examples[: profile.examples]
    attack = get_attack("gcg")
    started = time.process_time()
    records = list(Engine(victim, attack, budget=profile.budget, task=task).run(examples))
    whole = time.process_time() - started
    right = {record.example_id for record in records if record.clean_correct}
    attacked = [example for example in examples if example.id in right]
    chosen = attacked[:: max(1, len(attacked) // TIMED)][:TIMED]
    alone = np.array([seconds_alone(victim, [example], profile.budget, task) for example in chosen])
    return {
        "checkpoint": checkpoint,
        "examples": len(attacked),
        "broken": sum(record.break_cost is not None for record in records),
        "seconds": round(whole, 1),
        "timed_alone": len(chosen),
        "seconds_alone": round(float(alone.mean()), 2),
        "seconds_alone_deviation": round(float(alone.std(ddof=1)), 2),
        "times_sooner": round(float(alone.mean()) * len(attacked) / whole, 1),
    }


def seconds_alone(victim: Victim, example: Sequence[Example], budget: float, task: str) -> float:
    started = time.process_time()
    list(ToTheEnd(victim, get_attack("gcg"), budget=budget, task=task).run(example))
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", default="password-match-undefended", help="a bundled one")
    parser.add_argument("--mirror", type=Path, help="a local mirror of the Hub's layout")
    asked = parser.parse_args()
    kept = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    kept[asked.checkpoint] = measured = measure(asked.checkpoint, asked.mirror)
    OUTPUT.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
