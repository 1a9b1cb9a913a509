"""Reproduction: the attack run again on a few examples, drawn so that the submitter could not know them.

Replaying shows that what is said to break does; only running the attack again shows that what is said to have held,
and what breaking is said to have cost, came of an attack at full strength.
"""

import hashlib
import math
import time
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from ..benchmark import attack_examples
from ..benchmark.attacks import recorded_attack
from ..benchmark.machine import device_name, software_versions
from ..benchmark.proposal import proposal_for
from ..benchmark.results import ExamplePart, Result
from ..benchmark.screening import LOOKED_OVER
from ..benchmark.victim import Victim
from ..tasks import EvaluationSet
from .evidence import Reproduction

SIGNIFICANT = 0.05


def reproduce(
    result: Result,
    digest: str,
    victim: Victim,
    evaluation: EvaluationSet,
    count: int,
    seed: int,
    most: float | None,
    texts: Sequence[str] = (),
    proposal: Victim | None = None,
) -> tuple[list[str], Reproduction]:
    """Attack `count` clean-correct examples again and compare break costs: what disagrees, and the figures.

    digest: of the result file; together with the seed it decides the draw. victim: in the result's own dtype.
    most: FLOP per example, for budgets too large to be spent again; break costs above it count as held on both sides.
    texts: the task's training texts, for attacks that learn from them. proposal: for one that a language model guides,
    the recorded one.
    """
    started = time.perf_counter()
    budget = result.budget if most is None else min(most, result.budget)
    drawn = draw(result, digest, count, seed)
    ids = {record.id for record in drawn}
    attack = recorded_attack(result.attack.name, result.attack.parameters)
    records = attack_examples(
        victim,
        [example for example in evaluation.examples if example.id in ids],
        attack,
        budget=budget,
        seed=result.seed,
        task=result.task.name,
        position=result.attack.position,
        proposal=proposal_for(attack, victim, lambda: texts, proposal),
    )
    now = {record.example_id: record.break_cost for record in records}
    costs = [(record.id, _cost(record.break_cost, budget), _cost(now[record.id], budget)) for record in drawn]
    dearer = sum(recorded > again for _, recorded, again in costs)
    cheaper = sum(recorded < again for _, recorded, again in costs)
    p_value = float(binomtest(dearer, dearer + cheaper).pvalue) if dearer + cheaper else 1.0
    reproduction = Reproduction(
        seed=seed,
        examples=[record.id for record in drawn],
        budget=budget,
        same_machine=_same_machine(result, victim),
        identical=len(costs) - dearer - cheaper,
        recorded_dearer=dearer,
        recorded_cheaper=cheaper,
        p_value=p_value,
        seconds=time.perf_counter() - started,
    )
    return _disagreement(reproduction, costs), reproduction


def draw(result: Result, digest: str, count: int, seed: int) -> list[ExamplePart]:
    """Clean-correct examples to attack again, in official order: all of them when there are no more than `count`."""
    correct = [record for record in result.records if record.clean_correct]
    key = hashlib.sha256(f"{seed}\0{digest}".encode()).digest()
    places = np.random.default_rng(int.from_bytes(key)).permutation(len(correct))[:count]
    return [correct[place] for place in sorted(places.tolist())]


def _cost(break_cost: int | None, budget: float) -> float:
    """Censored at the budget."""
    return math.inf if break_cost is None or break_cost > budget else float(break_cost)


def _same_machine(result: Result, victim: Victim) -> bool:
    """Whether the run should be repeated to the last digit: machine class and versions are the same, in float32."""
    return (
        victim.exact
        and result.victim.dtype == "float32"
        and LOOKED_OVER not in result.run.passes
        and result.run.device == device_name(victim.device)
        and result.run.versions == software_versions()
    )


def _disagreement(reproduction: Reproduction, costs: Sequence[tuple[str, float, float]]) -> list[str]:
    different = [(example_id, recorded, again) for example_id, recorded, again in costs if recorded != again]
    if not different or (not reproduction.same_machine and reproduction.p_value >= SIGNIFICANT):
        return []
    example_id, recorded, again = different[0]
    first = f"{example_id}: {_said(recorded)} is recorded, and running the attack again gives {_said(again)}"
    if reproduction.same_machine:
        return [
            f"{len(different)} of {len(costs)} break costs are not reproduced, though machine class, versions and "
            f"precision are the same; {first}"
        ]
    return [
        f"break costs are not reproduced: of {len(costs)}, {reproduction.recorded_dearer} are recorded too dear and "
        f"{reproduction.recorded_cheaper} too cheap (p = {reproduction.p_value:.2g}); {first}"
    ]


def _said(cost: float) -> str:
    return f"a break at {cost:.6g} FLOP" if math.isfinite(cost) else "that it held"
