"""How often the release gate cries wolf, and how often it hears one: simulated releases through the real comparison.

    python docs/simulations/gate.py            1,000 releases of every kind; writes gate.json beside this file
    python docs/simulations/gate.py --table    prints the table of docs/compare.md from gate.json

A release is two victims, base and candidate, on the same 200 examples of each task at profile lite. How hard an example
is to break is a normal number, part of which base and candidate share; the correlation of the two is what is varied.
The two official attacks share half of it within a victim. Break costs follow from it by a curve per attack; the
candidate's curve is lowered where something changed. Every number is seeded.
"""

import argparse
import gc
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

from holdfast.benchmark import PROFILES, TIERS, Result, get_attack
from holdfast.benchmark.attacks import attack_parameters
from holdfast.benchmark.curves import holds
from holdfast.benchmark.results import AttackPart, ExamplePart, RunPart, Seconds, Summary, TaskPart, VictimPart
from holdfast.submissions.compare import Comparison, compare_results
from holdfast.tasks import OFFICIAL_TASKS

OUTPUT = Path(__file__).with_suffix(".json")
LITE = PROFILES["lite"]
CLEAN = 0.95
"""Share of examples that are right when clean."""
COSTS = (1e9, *TIERS[:3])
"""FLOP at which the curves below are given; between them they run straight over log cost."""
CURVES = {"random_token": (1.0, 0.97, 0.88, 0.78), "gcg": (1.0, 0.93, 0.75, 0.55)}
"""Share of clean-correct examples that hold at each cost."""
ONSET = (0.0, 0.25, 0.6, 1.0)
"""How much of the full drop is there at each cost."""
DROP = 0.15
"""Robust accuracy lost at the largest tier, where something changed."""
WITHIN = 0.5
"""Correlation of the difficulty of an example under the two attacks, within a victim."""
SCENARIOS: dict[str, tuple[str, ...]] = {"none": (), "both": tuple(CURVES), "gcg": ("gcg",)}
"""Which attacks break more in the candidate, on the first task."""
CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.85)
TASKS = (1, 5)

_RESULT = Result(
    task=TaskPart(name="task", version=1, digest="0" * 64, official=True),
    attack=AttackPart(name="gcg", position="suffix", parameters={}),
    victim=VictimPart(
        reference="simulated",
        revision=None,
        digest="0" * 64,
        architecture="none",
        parameters=1,
        context=1,
        dtype="float32",
    ),
    seed=0,
    profile=LITE.name,
    budget=LITE.budget,
    summary=Summary(examples=1, clean_correct=0, clean_accuracy=0, broken=0, attack_success_rate=None, truncated=0),
    records=[],
    flags=[],
    trace_sha256="0" * 64,
    run=RunPart(
        versions={},
        device="none",
        threads=1,
        finished="",
        seconds=Seconds(total=0, model=0, tokenization=0, rest=0),
        canonical_flop=0,
        executed_flop=0,
        candidates=0,
        passes="none",
        batch_size=1,
        peak_memory=0,
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What happened to the releases of one kind.

    correlation: of an example's difficulty between base and candidate. agreement: the correlation this gives between
    holding and not holding against GCG at the largest tier (the phi coefficient), over tasks where nothing changed;
    None where there are none.
    alarms: releases with a regression reported on a task where nothing changed. claims: with any change reported there,
    improvements included. detected: with a regression reported on the task that dropped.
    """

    tasks: int
    correlation: float
    scenario: str
    releases: int
    agreement: float | None
    alarms: int
    claims: int
    detected: int


def simulate(tasks: int, correlation: float, scenario: str, releases: int, seed: int = 0) -> Outcome:
    """Compare so many releases of one kind."""
    rng = np.random.default_rng([seed, tasks, round(1000 * correlation), list(SCENARIOS).index(scenario)])
    dropped = OFFICIAL_TASKS[0] if SCENARIOS[scenario] else None
    alarms = claims = detected = 0
    phis = []
    for _ in range(releases):
        base, candidate = [], []
        for task in OFFICIAL_TASKS[:tasks]:
            changed = SCENARIOS[scenario] if task == dropped else ()
            pair = [list(side) for side in _release(rng, task, correlation, changed)]
            base += pair[0]
            candidate += pair[1]
            if not changed:
                phis.append(_phi(pair[0][1], pair[1][1]))
        comparison = compare_results(base, candidate)
        alarms += any(row.verdict == "regressed" and row.task != dropped for row in comparison.rows)
        claims += any(row.verdict != "no evidence" and row.task != dropped for row in comparison.rows)
        detected += _hears(comparison, dropped)
    agreement = round(float(np.mean(phis)), 3) if phis else None
    return Outcome(tasks, correlation, scenario, releases, agreement, alarms, claims, detected)


def _hears(comparison: Comparison, dropped: str | None) -> bool:
    return any(row.verdict == "regressed" and row.task == dropped for row in comparison.rows)


def _release(
    rng: np.random.Generator, task: str, correlation: float, changed: tuple[str, ...]
) -> Iterator[list[Result]]:
    """Base and candidate on one task, a result per official attack."""
    shared = _difficulties(rng)
    for lowered in ((), changed):
        ease = norm.cdf(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * _difficulties(rng))
        clean = ease[2] < CLEAN
        yield [_result(task, attack, ease[number], clean, attack in lowered) for number, attack in enumerate(CURVES)]


def _difficulties(rng: np.random.Generator) -> np.ndarray:
    """(3, examples) standard normal numbers with correlation WITHIN: under each attack, and when clean."""
    own, common = rng.standard_normal((3, LITE.examples)), rng.standard_normal(LITE.examples)
    return np.sqrt(WITHIN) * common + np.sqrt(1 - WITHIN) * own


def _result(task: str, attack: str, ease: np.ndarray, clean: np.ndarray, lowered: bool) -> Result:
    """A result whose example breaks where the curve falls below its ease, a number between 0 and 1."""
    curve = np.array(CURVES[attack]) - (DROP / CLEAN * np.array(ONSET) if lowered else 0.0)
    costs = 10 ** np.interp(-ease, -curve, np.log10(COSTS))
    records = [
        ExamplePart.model_construct(
            id=f"{number}",
            label=0,
            clean_correct=bool(right),
            truncated=False,
            tokens=1,
            break_cost=int(cost) if right and own > curve[-1] else None,
            cost=0,
            iterations=0,
        )
        for number, (own, cost, right) in enumerate(zip(ease, costs, clean, strict=True))
    ]
    return _RESULT.model_copy(
        update={
            "task": _RESULT.task.model_copy(update={"name": task}),
            "attack": AttackPart(name=attack, position="suffix", parameters=attack_parameters(_ATTACKS[attack])),
            "records": records,
        }
    )


_ATTACKS = {name: get_attack(name) for name in CURVES}


def _phi(base: Result, candidate: Result) -> float:
    held = [[holds(record, LITE.budget) for record in result.records] for result in (base, candidate)]
    return float(np.corrcoef(held)[0, 1])


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as the Markdown table of docs/compare.md."""
    lines = [
        "| tasks | correlation | agreement | false alarms | any false verdict | heard: both attacks | GCG only |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found = {(each.tasks, each.correlation, each.scenario): each for each in outcomes}
    for tasks in TASKS:
        for correlation in CORRELATIONS:
            none, both, gcg = (found[tasks, correlation, scenario] for scenario in SCENARIOS)
            cells = (
                f"{tasks}",
                f"{correlation:g}",
                f"{none.agreement or 0:.2f}",
                f"{none.alarms / none.releases:.1%}",
                f"{none.claims / none.releases:.1%}",
                f"{both.detected / both.releases:.1%}",
                f"{gcg.detected / gcg.releases:.1%}",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read(path: Path = OUTPUT) -> list[Outcome]:
    return [Outcome(**each) for each in json.loads(path.read_text(encoding="utf-8"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=1000)
    parser.add_argument("--table", action="store_true", help="print the table of what was simulated before")
    arguments = parser.parse_args()
    if not arguments.table:
        # statsmodels collects garbage at every correction; what was imported is none.
        gc.freeze()
        outcomes = []
        for tasks in TASKS:
            for correlation in CORRELATIONS:
                for scenario in SCENARIOS:
                    outcomes.append(simulate(tasks, correlation, scenario, arguments.releases))
                    print(outcomes[-1], flush=True)
        lines = ",\n".join(json.dumps(asdict(each)) for each in outcomes)
        OUTPUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(table(read()), end="")


if __name__ == "__main__":
    main()
